"""Packages of a built model: a Python wheel, a C++ archive, each with what running needs and no compiler."""
