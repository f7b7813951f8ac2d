// A look is the text of the control `style`: one style's name, or a mixture such as "a:0.6,b:0.4".

/** [{name, weight}, ...], the weights adding up to 1. */
export function parseLook(look) {
  const parts = look.split(",").map((part) => {
    const colon = part.lastIndexOf(":");
    const weight = colon < 0 ? 1 : Number(part.slice(colon + 1));
    return Number.isFinite(weight) && weight > 0
      ? { name: (colon < 0 ? part : part.slice(0, colon)).trim(), weight }
      : { name: part.trim(), weight: 1 };
  });
  const sum = parts.reduce((total, part) => total + part.weight, 0);
  return parts.map(({ name, weight }) => ({ name, weight: weight / sum }));
}

/** The look of `first` with `share` (0 to 1) of `second` in it. */
export function mixture(first, second, share) {
  const part = Math.round(share * 100) / 100;
  if (part <= 0) return first;
  return part >= 1 ? second : `${first}:${(1 - part).toFixed(2)},${second}:${part.toFixed(2)}`;
}
