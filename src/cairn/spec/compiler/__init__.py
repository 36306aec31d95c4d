"""What runs where kfp is. A folder of its own: a script's folder is on `sys.path`, where ours would hide others."""
