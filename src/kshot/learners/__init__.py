"""Stage 4: the algorithms, one per file, behind one contract. Next: `kshot.meta_train`."""
