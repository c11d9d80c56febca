"""The version of kshot: the package's metadata, `kshot.__version__`, the command and saved models take it from here."""

VERSION = "0.2.0"
