"""What each constant of the serving engine gives on this machine, beside half and double of it."""
