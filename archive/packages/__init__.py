"""Case packages: a case taken away in a folder that anyone can check. Format: docs/formats/case-package.md."""
