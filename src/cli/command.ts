/** Defines a subcommand: its zod schema is the only list of its flags, defaults, checks and help. */
import { Command as Commander, CommanderError, Option } from "commander";
import type { z } from "zod";
import { ClimaxError } from "../errors.ts";
import type { World } from "../parallel/world.ts";
import {
  choices,
  type Flag,
  flagsOf,
  fromText,
  helpLine,
  isBoolean,
  isSwitch,
  type JsonSchema,
  jsonSchema,
  kebab,
  type Positional,
  placeholder,
} from "./flags.ts";
import { printable } from "./printable.ts";
import { explain } from "./problems.ts";
import { unsharedError } from "./told.ts";

/** What a running command may say, and to whom. */
export interface Context {
  /** A result, on stdout. */
  print(text: string): void;
  /** What is being done, on stderr; silent with `--quiet`. */
  info(text: string): void;
  /** Something the user should know, on stderr, always. */
  warn(text: string): void;
  readonly quiet: boolean;
  /** The command as typed, for provenance: `climax regrid a.nc --res 5.625 -o b.nc`. */
  readonly commandLine: string;
  /** The ranks to work in, whatever a launcher says: a step of a command that shares its work may be for one of them. */
  readonly world?: World | undefined;
  /**
   * Where ranks share the work: to be awaited when all that it needs is open, before it takes long. What another rank
   * has met with until then is thrown.
   */
  readonly ready?: (() => Promise<unknown>) | undefined;
}

/** Who hears what a command says, in place of the terminal. */
export type Voice = Pick<Context, "print" | "info" | "warn" | "world">;

export interface CommandSpec<Config extends z.ZodType> {
  readonly name: string;
  /** One line, lower case, no full stop. */
  readonly summary: string;
  readonly aliases?: readonly string[];
  readonly description?: string;
  /** Whole command lines, shown at the end of the help. */
  readonly examples?: readonly string[];
  readonly positional?: Positional;
  /** A strict object; `.describe()` is the help of a flag, `.meta({ short: "o" })` its one-letter name. */
  readonly config: Config;
  /** Settings that what was given stands for; they lie under it, and over the schema's defaults. */
  readonly preset?: (given: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
  /** Whether `--config FILE` (YAML) is taken; yes unless false. */
  readonly allowConfigFile?: boolean;
  /** Whether the ranks of a launcher always speak to one another: then rank 0 tells what is wrong with the arguments. */
  readonly together?: boolean;
  /** May return an exit code other than 0, e.g. 1 for "ran, and the answer is bad". */
  run(config: z.output<Config>, context: Context): Promise<number> | Promise<void>;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly aliases: readonly string[];
  readonly flags: readonly Flag[];
  /** The text of `climax NAME --help`, as wide as the terminal or `columns`. */
  help(columns?: number): string;
  /**
   * Checks the arguments and runs. Returns the exit code. Throws ClimaxError for what the user can mend.
   *
   * @param voice  for a command that is a step of another
   */
  run(argv: readonly string[], voice?: Voice): Promise<number>;
}

/**
 * Defines a subcommand. Flags win over the `--config` file, which wins over the schema's defaults.
 * camelCase keys are kebab-case flags, nested objects dotted ones (`--model.embed-dim`), arrays take a
 * comma list or may be repeated.
 */
export function command<Config extends z.ZodType>(spec: CommandSpec<Config>): Command {
  const { name, summary, aliases = [], positional } = spec;
  const schema = jsonSchema(spec.config);
  const flags = flagsOf(schema).filter(({ path }) => path.join(".") !== positional?.key);
  return {
    name,
    summary,
    aliases,
    flags,
    help: (columns) => {
      const parser = makeParser(spec, schema, flags);
      if (columns !== undefined) parser.configureOutput({ getOutHelpWidth: () => columns });
      return parser.helpInformation() + examples(spec.examples);
    },
    run: async (argv, voice) => {
      const parser = makeParser(spec, schema, flags);
      const contextOf = (quiet: boolean) => ({ ...makeContext(["climax", name, ...argv], quiet), ...voice });
      const read = async () => {
        const { given, file, quiet, help } = await parseArguments(parser, spec, schema, flags, argv);
        const context = contextOf(quiet);
        if (help) return { context };
        const values = spec.preset ? over(spec.preset(given), given) : given;
        const { success, data, error } = await spec.config.safeParseAsync(values);
        if (success) return { context, data };
        const message = explain(error, { values, file, schema, flags, positional });
        throw new ClimaxError("config", message, seeHelp(name));
      };
      const found = await read().catch((error: unknown) => refuse(spec, error, argv, contextOf(false)));
      if (!("data" in found)) {
        found.context.print((parser.helpInformation() + examples(spec.examples)).trimEnd());
        return 0;
      }
      const { data, context } = found;
      const work = Promise.resolve(spec.run(data!, context));
      return (await (spec.together ? work : work.catch(throwUnshared))) ?? 0;
    },
  };
}

/** Throws what is wrong with the arguments of this rank, or of another where all speak to one another. */
async function refuse(
  { together }: Pick<CommandSpec<z.ZodType>, "together">,
  error: unknown,
  argv: readonly string[],
  context: Context,
): Promise<never> {
  if (!together) return throwUnshared(error);
  const { failInRanks } = await import("./ranks.ts");
  return await failInRanks(error, argv, context);
}

function throwUnshared(error: unknown): never {
  throw unsharedError(error);
}

/** Settings laid over others, key by key: a list or a range replaces what is under it as a whole. */
export function over(
  under: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const both = { ...under };
  for (const [key, value] of Object.entries(given)) {
    const below = both[key];
    both[key] = isTree(below) && isTree(value) ? over(below, value) : value;
  }
  return both;
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The commander command that reads the flags and prints the help. */
function makeParser(spec: CommandSpec<z.ZodType>, schema: JsonSchema, flags: readonly Flag[]): Commander {
  const { name, aliases = [], summary, description, positional, allowConfigFile = true } = spec;
  const parser = new Commander(`climax ${name}`)
    .description(reflow(description ?? `${summary[0]?.toUpperCase()}${summary.slice(1)}.`))
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .configureHelp({ optionTerm: (option) => term(option, flags), minWidthToWrap: 20 });
  if (positional) {
    const { description: what = "" } = schema.properties?.[positional.key] ?? {};
    parser.argument(`[${positional.name.replace(/\.*$/, "")}${positional.variadic ? "..." : ""}]`, what);
  }
  parser.usage(positional ? `${positional.name} [flags]` : "[flags]");
  for (const alias of aliases) parser.alias(alias);

  const own = flags.filter(({ path }) => path.length === 1);
  for (const flag of [...own, ...flags.filter(({ path }) => path.length > 1)]) {
    const letter = flag.short ? `-${flag.short}, ` : "";
    const group = flag.path.length > 1 ? heading(flag, schema) : "Flags:";
    if (isBoolean(flag.schema)) {
      parser.addOption(new Option(`${letter}--${flag.name}`, helpLine(flag)).helpGroup(group));
      parser.addOption(new Option(`--no-${flag.name}`).hideHelp());
    } else if (isSwitch(flag.schema)) {
      const option = new Option(
        `${letter}--${flag.name} [${choices(flag.schema).join("|")}]`,
        helpLine(flag),
      );
      parser.addOption(option.argParser(collect(flags)).helpGroup(group));
      parser.addOption(new Option(`--no-${flag.name}`).hideHelp());
    } else {
      const option = new Option(`${letter}--${flag.name} <${placeholder(flag.schema)}>`, helpLine(flag));
      parser.addOption(option.argParser(collect(flags)).helpGroup(group));
    }
  }
  const common = (option: Option) => parser.addOption(option.helpGroup("Flags:"));
  if (allowConfigFile) {
    const text = "YAML file of these settings; flags win over it";
    common(new Option("--config <FILE>", text).argParser(collect(flags)));
  }
  common(new Option("-q, --quiet", "say only what is wrong, and the results"));
  common(new Option("-h, --help", "show this help"));
  return parser;
}

/** Shows `--[no-]name` for what is on, or neither, unless told; takes the brackets off a value. */
function term(option: Option, flags: readonly Flag[]): string {
  if (option.required) return option.flags.replace("<", "").replace(">", "");
  const { schema } = flags.find(({ name }) => option.long === `--${name}`) ?? {};
  return schema && schema.default !== false ? option.flags.replace("--", "--[no-]") : option.flags;
}

/** Joins the lines of a paragraph, so that they break where the terminal ends. */
function reflow(text: string): string {
  return text.replace(/(?<=\S)\n(?=\S)/g, " ");
}

function heading({ path }: Flag, schema: JsonSchema): string {
  const { description } = schema.properties?.[path[0]!] ?? {};
  const title = `${path[0]![0]!.toUpperCase()}${kebab(path[0]!).slice(1).replaceAll("-", " ")}`;
  return description ? `${title} (${description}):` : `${title}:`;
}

function examples(lines: readonly string[] = []): string {
  return lines.length > 0 ? `\nExamples:\n${lines.map((line) => `  ${line}\n`).join("")}` : "";
}

/** Gathers every time a flag is given; refuses a flag where its value should be. */
function collect(flags: readonly Flag[]) {
  return (value: string, previous: string[] | undefined): string[] => {
    if (value.startsWith("--") && flags.some(({ name }) => value.slice(2).split("=")[0] === name)) {
      throw new ClimaxError(
        "config",
        `found ${value} where a value was wanted`,
        "give the flag before it a value",
      );
    }
    return [...(previous ?? []), value];
  };
}

async function parseArguments(
  parser: Commander,
  { name, positional, allowConfigFile = true }: CommandSpec<z.ZodType>,
  schema: JsonSchema,
  flags: readonly Flag[],
  argv: readonly string[],
) {
  try {
    parser.parse([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const [message = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
    const near = suggestion?.match(/Did you mean (.+)\?/)?.[1];
    throw new ClimaxError("config", message, near ? `did you mean ${near}?` : seeHelp(name), {
      cause: error,
    });
  }
  const typed: Record<string, string[] | boolean | undefined> = parser.opts();
  const config = allowConfigFile ? (typed.config as string[] | undefined)?.at(-1) : undefined;
  const help = typed.help === true;
  // Its reader takes 30 ms to load, a tenth of a small command.
  const file =
    config === undefined || help
      ? undefined
      : (await import("./configfile.ts")).readConfigFile(config, schema);
  const given: Record<string, unknown> = { ...file?.values };
  for (const flag of flags) {
    const option = parser.options.find(({ long }) => long === `--${flag.name}`);
    const value = typed[option?.attributeName() ?? ""];
    if (value === undefined) continue;
    place(given, flag.path, typeof value === "boolean" ? value : fromText(flag, `--${flag.name}`, value));
  }
  if (positional && parser.args.length > 0) {
    const field = schema.properties?.[positional.key] ?? {};
    const item = positional.variadic ? (field.items ?? {}) : field;
    const values = parser.args.map((text) => fromText({ schema: item }, positional.name, [text]));
    given[positional.key] = positional.variadic ? values : values[0];
  }
  return { given, file, help, quiet: typed.quiet === true };
}

/** Sets the value at a path, copying the objects on the way so that the file's values stay its own. */
function place(into: Record<string, unknown>, [key = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    into[key] = value;
    return;
  }
  const inner = into[key];
  const copy = typeof inner === "object" && inner !== null && !Array.isArray(inner) ? { ...inner } : {};
  into[key] = copy;
  place(copy as Record<string, unknown>, rest, value);
}

function makeContext(words: readonly string[], quiet: boolean): Context {
  return {
    print: (text) => void process.stdout.write(`${printable(text)}\n`),
    info: (text) => void (quiet || process.stderr.write(`${printable(text)}\n`)),
    warn: (text) => void process.stderr.write(`warning: ${printable(text)}\n`),
    quiet,
    commandLine: words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" "),
  };
}

function seeHelp(name: string): string {
  return `see climax ${name} --help`;
}
