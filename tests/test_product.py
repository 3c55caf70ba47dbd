"""The dense product equals `@` under every transformation, and stays a product of rank 2."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg._product import dense_product

KEYS = jax.random.split(jax.random.key(0), 3)
X = jax.random.normal(KEYS[0], (2, 5, 3))
W = jax.random.normal(KEYS[1], (2, 4, 3))
B = jax.random.normal(KEYS[2], (2, 4))


def plain(x, weight, bias=None):
    product = x @ weight.T
    return product if bias is None else product + jnp.broadcast_to(bias, product.shape)


def squared(product, x, weight):
    return jnp.sum(product(x, weight) ** 2)


# name -> what is done with a product of rows (n, in) or vectors (in,) and a weight (out, in)
TRANSFORMED = {
    "rows": lambda p: p(X[0], W[0]),
    "vector": lambda p: p(X[0, 0], W[0]),
    "empty": lambda p: p(X[0, :0], W[0]),
    "gradient": lambda p: jax.grad(lambda a: squared(p, *a))((X[0], W[0])),
    "vmap axis 0": lambda p: jax.vmap(lambda x: p(x, W[0]))(X),
    "vmap axis 1": lambda p: jax.vmap(lambda x: p(x, W[0]), 1, 1)(X),
    "vmap last axis": lambda p: jax.vmap(lambda x: p(x, W[0]), 2)(jnp.moveaxis(X, 0, 2)),
    "vmap twice": lambda p: jax.vmap(jax.vmap(lambda x: p(x, W[0])), 1, 1)(X),
    "vmap both": lambda p: jax.vmap(p)(X, W),
    "vmap weight": lambda p: jax.vmap(p, (None, 0))(X[0], W),
    "vmap gradient": lambda p: jax.vmap(jax.grad(lambda a: squared(p, *a)))((X, W)),
    "gradient of vmap": lambda p: jax.grad(
        lambda w: jnp.sum(jax.vmap(jax.vmap(lambda x: p(x, w)))(X) ** 2)
    )(W[0]),
    "jvp": lambda p: jax.jvp(p, (X[0], W[0]), (X[1], W[1])),
    "jacfwd": lambda p: jax.jacfwd(lambda w: jax.vmap(lambda x: p(x, w))(X))(W[0]),
    "hessian": lambda p: jax.hessian(lambda w: jnp.sum(p(X[0], w) ** 3))(W[0]),
    "checkpoint": lambda p: jax.grad(jax.checkpoint(lambda w: squared(p, X[0], w)))(W[0]),
    "bias": lambda p: p(X[0], W[0], B[0]),
    "bias in vmap axis 1": lambda p: jax.vmap(lambda x: p(x, W[0], B[0]), 1, 1)(X),
    "bias in vmap last axis": lambda p: jax.vmap(lambda x: p(x, W[0], B[0]), 2)(
        jnp.moveaxis(X, 0, 2)
    ),
    "vmap all": lambda p: jax.vmap(p)(X, W, B),
    "vmap bias": lambda p: jax.vmap(p, (None, None, 0))(X[0], W[0], B),
    "gradient with bias": lambda p: jax.grad(
        lambda a: jnp.sum(jax.vmap(jax.vmap(lambda x: p(x, *a)), 1, 1)(X) ** 2)
    )((W[0], B[0])),
    "gradient of the bias alone": lambda p: jax.grad(
        lambda b: jnp.sum(jax.vmap(lambda x: p(x, W[0], b))(X) ** 2)
    )(B[0]),
    "vmap gradient with bias": lambda p: jax.vmap(jax.grad(lambda a: jnp.sum(p(*a) ** 2)), (0,))(
        (X, W, B)
    ),
    "hessian of the bias": lambda p: jax.hessian(lambda b: jnp.sum(p(X[0], W[0], b) ** 3))(B[0]),
    "scan": lambda p: jax.grad(
        lambda w: jnp.sum(jax.lax.scan(lambda h, x: (p(x + h[:3], w), h), p(X[0, 0], w), X[0])[1])
    )(W[0]),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_it_equals_the_plain_product(name):
    run = TRANSFORMED[name]
    got, want = jax.jit(lambda: run(dense_product))(), run(plain)
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=2e-5)


def test_the_weight_gradient_of_a_batch_of_sequences_is_one_plain_product():
    def loss(product, weight):
        return jnp.sum(jax.vmap(jax.vmap(lambda x: product(x, weight)))(X) ** 2)

    text = jax.jit(jax.grad(lambda w: loss(dense_product, w))).lower(W[0]).as_text()
    products = re.findall(r"stablehlo.dot_general.*: \((.*)\) ->", text)
    assert len(products) == 2
    shapes = re.findall(r"tensor<([\dx]*)xf32>", " ".join(products))
    assert len(shapes) == 4
    assert all(shape.count("x") == 1 for shape in shapes)


def test_the_mapped_axis_stays_where_it_is():
    def loss(x, w, b):
        return jnp.sum(jax.vmap(jax.vmap(lambda x: dense_product(x, w, b)), 1, 1)(x) ** 2)

    text = jax.jit(jax.grad(loss, (0, 1, 2))).lower(X, W[0], B[0]).as_text()
    moved = re.findall(r"stablehlo.transpose.*: \((.*)\) ->", text)
    assert all("2x5" not in array for array in moved)  # Only the weight is ever transposed.


def test_mixed_dtypes_take_the_common_one():
    half = X[0].astype(jnp.bfloat16)
    assert dense_product(half, W[0]).dtype == jnp.float32
    assert dense_product(half, W[0].astype(jnp.bfloat16)).dtype == jnp.bfloat16
