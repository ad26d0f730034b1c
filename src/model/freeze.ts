// Parts of a network that finetuning can leave as they are.
import { unknownName } from "../errors.ts";

/** Which parameters belong to each part, by their names. */
const parts = {
  attention: /^blocks\.\d+\.attn\./,
  mlp: /^blocks\.\d+\.mlp\./,
  norms: /^(blocks\.\d+\.)?norm\d?\./,
  embedding: /^(token_embeds\.|patch_embed\.|var_embed$|var_query$|var_agg\.)/,
  position: /^(time_)?pos_embed$/,
  lead: /^lead_time_embed\./,
  head: /^head\./,
  /** Attention and MLP of the blocks, without their norms: what the reference's freeze_encoder freezes. */
  encoder: /^blocks\.\d+\.(attn|mlp)\./,
  blocks: /^blocks\./,
} as const;

/** The parts that can be frozen. */
export const freezable = Object.keys(parts) as readonly (keyof typeof parts)[];

/**
 * Names of the parameters that belong to any of these parts.
 *
 * @param names   of a network's parameters
 * @param frozen  of `freezable`
 * @throws        ClimaxError "config" for a part there is not, naming those there are
 */
export function frozenNames(names: Iterable<string>, frozen: readonly string[]): Set<string> {
  const patterns = frozen.map((part) =>
    Object.hasOwn(parts, part)
      ? parts[part as keyof typeof parts]
      : unknownName("part to freeze", part, freezable),
  );
  return new Set([...names].filter((name) => patterns.some((pattern) => pattern.test(name))));
}
