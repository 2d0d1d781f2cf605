"""Verifies images by running them.

`judge` says what must run, `runner` runs it in a pytest for each image, `plugin` is what runs inside that pytest.
Results come as data, through pytest's hooks. Nothing is imported here: each pytest process begins with this package.
"""
