"""What the user may name as a style: a painting by name, any picture, or a mixture of them."""

from pathlib import Path


def parse_look(look: str) -> list[tuple[str, float]]:
    """`starry-night`, `my.jpg` or `starry-night:0.6,my.jpg:0.4` as names or paths with shares that add up to 1.

    Without shares all weigh alike. Raises ValueError in one line for what is neither.
    """
    if Path(look).is_file():
        return [(look, 1.0)]
    parts = []
    for part in look.split(","):
        name, colon, share = part.strip().rpartition(":")
        try:
            weight = float(share) if colon else 1.0
        except ValueError:  # the colon belongs to the path
            name, colon, weight = part.strip(), "", 1.0
        name = name if colon else part.strip()
        if not name or not 0 <= weight < float("inf"):
            raise ValueError(
                f"'{look}' is no style and no mixture; a mixture is NAME:SHARE,NAME:SHARE with shares from 0 up"
            )
        parts.append((name, weight))
    total = sum(weight for _, weight in parts)
    if total <= 0:
        raise ValueError(f"the shares of '{look}' add up to nothing")
    return [(name, weight / total) for name, weight in parts]
