"""The tests. A package, because one of the development tools installs a package of this name too."""
