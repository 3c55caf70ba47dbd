"""Random numbers of wrappers, apart from those of the wrapped environment.

The wrapped environment gets the key that the wrapper was given, unchanged. The wrapper's own numbers
come from `jax.random.fold_in(key, number)`, with a number for each wrapper. `split(key, n)[i]` may be
the same as `fold_in(key, i)`, so these numbers are far above any count of keys that a task splits.
"""

NOISE = 0x6E6F6973
STICKY = 0x73746963
