// Asks ESGF, the archive of CMIP6, which files it has: its search service answers in Solr's JSON. Several services
// know the same files; each file lies on several servers.
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { type GetOptions, get } from "../files/http.ts";
import type { RemoteFile } from "./downloadplan.ts";
import type { EsgfSource } from "./sources.ts";

/** Results asked for at once; the services give no more than 10 000. */
const page = 500;
/** Of one variable of one run: more means that the facets do not single one out. */
const mostFiles = 20_000;

const many = <T extends z.ZodType>(one: T) => z.union([one.transform((value) => [value]), z.array(one)]);

/** A file in an answer; the services give most fields as lists of one. */
const fileSchema = z.object({
  title: z.string().regex(/^[\w.-]+$/, "a file name"),
  size: z.number().nonnegative().optional(),
  checksum: many(z.string()).optional(),
  checksum_type: many(z.string()).optional(),
  url: many(z.string()),
  replica: z.boolean().optional(),
  retracted: z.boolean().optional(),
  version: z.union([z.string(), z.number()]).optional(),
});
const answerSchema = z.object({
  response: z.object({ numFound: z.int().nonnegative(), docs: z.array(z.unknown()) }),
});

/** The question for the files of one variable, as a service takes it behind a "?". */
export function esgfQuery({ facets }: EsgfSource, id: string, offset = 0): URLSearchParams {
  return new URLSearchParams({
    ...facets,
    variable_id: id,
    type: "File",
    latest: "true",
    distrib: "true",
    format: "application/solr+json",
    limit: String(page),
    offset: String(offset),
  });
}

/**
 * The files of one variable, each with all servers that have it, in the order of their names. A service that fails or
 * knows nothing is passed over.
 * @throws ClimaxError "data" when all fail, with what each said, or when none has such a file
 */
export async function searchEsgf(
  source: EsgfSource,
  id: string,
  options: GetOptions & { onFailure?: (said: string) => void } = {},
): Promise<RemoteFile[]> {
  const failures: string[] = [];
  let empty = 0;
  for (const service of source.search) {
    try {
      // There are others: a service that is down need not be waited for.
      const files = await askService(service, source, id, { tries: 2, firstByteTime: 20_000, ...options });
      if (files.length > 0) return files;
      empty++;
    } catch (error) {
      if (!(error instanceof ClimaxError)) throw error;
      failures.push(`${new URL(service).host}: ${error.message}`);
      options.onFailure?.(error.message);
    }
  }
  const query = `${source.search[0]}?${esgfQuery(source, id)}`;
  if (empty > 0)
    throw new ClimaxError(
      "data",
      `ESGF knows no files of ${id} (${Object.values(source.facets).join(", ")})`,
      `look what there is: ${query}`,
    );
  throw new ClimaxError(
    "data",
    `no search service of ESGF answered: ${failures.join("; ")}`,
    `try again later, or open in a browser: ${query}`,
  );
}

async function askService(
  service: string,
  source: EsgfSource,
  id: string,
  options: GetOptions,
): Promise<RemoteFile[]> {
  const files = new Map<string, RemoteFile>();
  for (let offset = 0, total = 1; offset < total; offset += page) {
    const address = `${service}?${esgfQuery(source, id, offset)}`;
    const { bytes } = await get(address, { maxBytes: 2 ** 26, ...options });
    const { numFound, docs } = parseAnswer(bytes, service);
    if (numFound > mostFiles)
      throw new ClimaxError(
        "data",
        `${service} finds ${numFound} files of ${id}; at most ${mostFiles} are wanted`,
        "give more facets: experiment_id, member_id, table_id, grid_label",
      );
    total = numFound;
    if (docs.length === 0) break;
    for (const doc of docs) addFile(files, fileSchema.safeParse(doc).data);
  }
  return [...files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function parseAnswer(bytes: Uint8Array, service: string) {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    json = undefined;
  }
  const { data } = answerSchema.safeParse(json);
  if (data) return data.response;
  throw new ClimaxError(
    "data",
    `${service} answered with something that is no result of a search (${bytes.length} bytes)`,
    "the service has changed or is out of order: try again later",
  );
}

/** The original's server comes first; copies whose checksum differs are other files and are left out. */
function addFile(files: Map<string, RemoteFile>, doc: z.output<typeof fileSchema> | undefined): void {
  if (!doc || doc.retracted) return;
  const urls = doc.url.flatMap((entry) => {
    const [address, , service] = entry.split("|");
    return service === "HTTPServer" && /^https?:\/\//.test(address!) ? [address!] : [];
  });
  if (urls.length === 0) return;
  const kind = doc.checksum_type?.[0]?.toLowerCase().replace("-", "");
  const digest = doc.checksum?.[0]?.toLowerCase();
  const file: RemoteFile = {
    name: doc.title,
    urls,
    ...(doc.size !== undefined && { bytes: doc.size }),
    ...(digest && kind === "sha256" && { sha256: digest }),
    ...(digest && kind === "md5" && { md5: digest }),
  };
  const known = files.get(file.name);
  if (!known) files.set(file.name, file);
  else if (known.sha256 === file.sha256 && known.md5 === file.md5 && known.bytes === file.bytes) {
    const both = doc.replica === false ? [...urls, ...known.urls] : [...known.urls, ...urls];
    files.set(file.name, { ...known, urls: [...new Set(both)] });
  } else if (doc.replica === false) files.set(file.name, file);
}
