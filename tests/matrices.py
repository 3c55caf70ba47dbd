"""The matrix-valued and discrete monoids, as constructors by dtype."""

import memoalg as ma
from memoalg._typing import complex_dtype_of

# name -> the monoid in a given real dtype
MATRICES = {
    "mat-mul": lambda dtype: ma.MatMul(3, dtype),
    "mat-mul-complex": lambda dtype: ma.MatMul(2, complex_dtype_of(dtype)),
    "mat-mul-whole": lambda dtype: ma.MatMul(2, "int32"),
    "max-plus-matrix": lambda dtype: ma.MaxPlus(3, dtype),
    "log-mat-mul": lambda dtype: ma.LogMatMul(3, dtype),
    "permutation": lambda dtype: ma.Permutation(5),
    "rotation": lambda dtype: ma.Rotation(3, dtype),
    "matrix-affine": lambda dtype: ma.MatrixAffine(3, dtype),
    "matrix-affine-columns": lambda dtype: ma.MatrixAffine(2, dtype, columns=3),
    "row-affine": lambda dtype: ma.SemidirectProduct(
        ma.MatMul(3, dtype), ma.Add((2, 3), dtype), ma.matmul
    ),
    "gated-outer": lambda dtype: ma.GatedOuter(3, 2, dtype),
    "gated-outer-scalar": lambda dtype: ma.GatedOuter(3, 2, dtype, per_key=False),
    "delta-rule": lambda dtype: ma.DeltaRule(3, 2, dtype),
    "stabilised-outer": lambda dtype: ma.StabilisedOuter(3, 2, dtype),
    "generalised-delta": lambda dtype: ma.GeneralisedDelta(3, 2, dtype),
    "markov": lambda dtype: ma.Markov(3, dtype),
    "hidden-markov": lambda dtype: ma.HiddenMarkov(3, dtype),
    "sphere": lambda dtype: ma.Sphere(dtype),
    "kalman": lambda dtype: ma.Kalman(2, dtype),
}
