"""Random graphs: permutation is free, and every subnet is a slice with the same outputs."""

import pytest
from graph_checks import check_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_model

FEW = settings(max_examples=12, derandomize=True)
MANY = settings(max_examples=100)


def check(draw):
    check_graph(random_model(draw), draw(st.integers(0, 1000)))


@FEW
@given(st.data())
def test_random_graphs(data):
    check(data.draw)


@pytest.mark.slow
@MANY
@given(st.data())
def test_many_random_graphs(data):
    check(data.draw)
