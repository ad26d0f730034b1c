/** Pieces of HTML that an XML parser reads as well: escaped, every element closed. */
import { escapeText } from "../plot/svg.ts";

/** Markup; what is not ours has been escaped. */
export type Html = string & { readonly html?: true };

type AttributeValue = string | number | boolean | undefined;

/** Elements that have no content and no closing tag. */
const empty = new Set(["br", "col", "hr", "img", "link", "meta"]);

/** Text as markup. */
export const escaped = (text: string): Html => escapeText(text);

/** Text in which no line ends between a number and its unit. */
export const unbroken = (text: string): string =>
  text.replaceAll(/(?<=\d) (?=(?:%|h|hPa)(?![\p{L}\d]))/gu, "\u00a0");

/** The same as markup. */
export const prose = (text: string): Html => escapeText(unbroken(text));

/** One element around markup; an attribute that is true is there without a value, one undefined or false is not. */
export function tag(
  name: string,
  attributes: Readonly<Record<string, AttributeValue>>,
  ...content: readonly Html[]
): Html {
  const listed = Object.entries(attributes).map(([key, value]) =>
    value === undefined || value === false
      ? ""
      : ` ${key}="${value === true ? "" : escapeText(String(value))}"`,
  );
  const open = `<${name}${listed.join("")}`;
  return empty.has(name) ? `${open}/>` : `${open}>${content.join("")}</${name}>`;
}

/** A paragraph of plain text. */
export const paragraph = (text: string, className?: string): Html =>
  tag("p", { class: className }, escaped(text));

/** Wide content that scrolls by itself, by keyboard as well. */
export const scrolling = (label: string, ...content: readonly Html[]): Html =>
  tag("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": label }, ...content);

/** What opens by a click, without a script. */
export const details = (summary: string, open: boolean, ...content: readonly Html[]): Html =>
  tag("details", { open }, tag("summary", {}, escaped(summary)), ...content);
