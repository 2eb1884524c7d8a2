"""--like: image options as other libraries write them down, a module a library; what can't be declared is refused."""
