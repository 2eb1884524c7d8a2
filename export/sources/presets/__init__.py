"""--like: image options as other libraries write them down, a module a library; what isn't supported is refused."""
