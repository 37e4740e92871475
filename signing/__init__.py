"""Keys, certificates and signatures. The only package that knows pyHanko."""
