"""Stage 4: the algorithms, one a file, behind one contract. Next: `kshot.meta_train`."""
