import numpy


def test_a_mean_is_a_mean():
    assert numpy.mean([1, 2, 3]) == 2
