/** A strict reader of markup: what is not well-formed XML throws, so that no browser has to guess. */

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Element[];
  /** All text inside, that of children too. */
  readonly text: string;
  /** Names of the elements around it, the nearest last. */
  readonly within: readonly string[];
}

/** The elements of a document in their order; throws where tags do not match, or a character is not escaped. */
export function parseMarkup(source: string): Element[] {
  const body = source.replace(/^<!DOCTYPE html>\n/, "").trimEnd();
  const all: Element[] = [];
  const open: { element: Element & { text: string; children: Element[] } }[] = [];
  const token = /<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)(\/?)>([^<]*)/gy;
  let end = 0;
  for (const match of body.matchAll(token)) {
    const [whole, closing, name = "", listed = "", selfClosing, text = ""] = match;
    end += whole.length;
    const stray = /&(?!(?:amp|lt|gt|quot|#39);)/.exec(name === "style" ? listed : text + listed);
    if (stray) throw new Error(`not escaped: ${whole.slice(0, 200)}`);
    if (closing) {
      const last = open.pop();
      if (last?.element.name !== name) throw new Error(`</${name}> closes <${last?.element.name}>`);
    } else {
      const pairs = [...listed.matchAll(/([\w:-]+)="([^"]*)"/g)];
      const attributes = Object.fromEntries(pairs.map(([, key, value]) => [key!, plain(value!)]));
      if (pairs.length !== Object.keys(attributes).length)
        throw new Error(`twice the same attribute: ${whole}`);
      const element = {
        name,
        attributes,
        children: [],
        text: "",
        within: open.map((one) => one.element.name),
      };
      open.at(-1)?.element.children.push(element);
      all.push(element);
      if (!selfClosing) open.push({ element });
    }
    for (const { element } of open) element.text += plain(text);
  }
  if (open.length > 0 || end !== body.length)
    throw new Error(`not well-formed: ${body.slice(end, end + 80)}`);
  return all;
}

const plain = (text: string) =>
  text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");
