import inspect

from keeper.domain import errors


def test_the_docstring_draws_the_tree_that_the_classes_form() -> None:
    drawn: list[tuple[str, int]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip("|`- ").strip()
        if name.isidentifier() and hasattr(errors, name):
            drawn.append((name, (len(line) - len(line.lstrip(" |`-"))) // 3))
    real = [
        (name, len(cls.__mro__) - len(errors.KeeperError.__mro__))
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.KeeperError)
    ]
    depth = dict(drawn)
    assert sorted(depth) == sorted(name for name, _ in real)
    base = depth["KeeperError"]
    assert {name: level - base for name, level in depth.items()} == dict(real)
