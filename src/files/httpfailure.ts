// Failures of the network and of servers that another try may not meet.

/** A failure that another try may not meet. */
export class HttpFailure extends Error {
  override readonly name = "HttpFailure";
  readonly hint: string;
  /** Milliseconds the server asked us to wait. */
  readonly retryAfter: number | undefined;

  constructor(message: string, hint: string, retryAfter?: number, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
    this.retryAfter = retryAfter;
  }
}

/** An address without its password, for messages. */
export function shown(url: URL): string {
  if (!url.password) return url.href;
  const copy = new URL(url);
  copy.password = "...";
  return copy.href;
}

/** What to do when a server is not reached. Where a proxy is set it may be the only way out, and fetch takes none. */
export function unreachable(otherwise: string, environment: NodeJS.ProcessEnv = process.env): string {
  const names = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
  const proxy = names.find((name) => environment[name]);
  if (proxy === undefined) return otherwise;
  return (
    `${proxy} is set, but climax does not use proxies: fetch where the network is open, or by a program that takes ` +
    "them (climax download --plan writes what to fetch)"
  );
}

/** Of what fetch throws: a failure in words. */
export function networkFailure(url: URL, error: unknown, where = ""): HttpFailure {
  const causes: Record<string, string> = {
    ENOTFOUND: "there is no such host",
    EAI_AGAIN: "the name of the host cannot be looked up now",
    ECONNREFUSED: "the host refuses connections",
    ECONNRESET: "the connection was cut off",
    UND_ERR_SOCKET: "the connection was cut off",
    UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the body is not as long as announced",
    CERT_HAS_EXPIRED: "its certificate has expired",
    DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed",
  };
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const text = causes[cause?.code ?? ""] ?? cause?.message ?? String((error as Error).message);
  return new HttpFailure(
    `${shown(url)}: ${text}${where}`,
    unreachable("check the address and the network, or try again later"),
    undefined,
    { cause: error },
  );
}
