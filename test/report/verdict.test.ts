/** What a report says of scores, on cases made by hand: nobody wins without a test, and nothing is said that is not so. */
import { describe, expect, test } from "vitest";
import { verdict } from "../../src/report/verdict.ts";
import type { DifferenceRow, ReportRow, ScoreDocument } from "../../src/scores/scoredocument.ts";
import { makeScores } from "../support/scores.ts";

/** A case of `ours` against `theirs`: the two scores, and limits of the difference with what a test makes of them. */
type Hand = [
  variable: string,
  lead: number,
  ours: number,
  theirs: number,
  limits?: [low: number, high: number],
  better?: "system" | "versus" | "tie",
];

function handmade(
  cases: readonly Hand[],
  change: Partial<ScoreDocument> = {},
  metric = "rmse",
): ScoreDocument {
  const base = makeScores({ systems: { ours: 1, theirs: 1 }, baselines: [], versus: "theirs", metrics: [] });
  const row = (system: string, variable: string, lead: number, value: number): ReportRow => ({
    ...{
      system,
      definition: "weatherbench2",
      metric,
      variable,
      lead_hours: lead,
      region: "global",
      season: "all",
    },
    ...{ value, low: null, high: null, samples: 100, units: "K", source: "measured", synthetic: false },
  });
  return {
    ...base.document,
    rows: cases.flatMap(([variable, lead, ours, theirs]) => [
      row("ours", variable, lead, ours),
      row("theirs", variable, lead, theirs),
    ]),
    differences: cases.map(
      ([variable, lead, ours, theirs, limits, better]): DifferenceRow => ({
        ...{
          system: "ours",
          versus: "theirs",
          metric,
          variable,
          lead_hours: lead,
          region: "global",
          season: "all",
        },
        ...{ difference: ours - theirs, low: limits?.[0] ?? null, high: limits?.[1] ?? null },
        ...{ p: better ? 0.01 : null, better: better ?? null, samples: 100 },
      }),
    ),
    ...change,
  };
}

const win: Hand[] = [
  ["geopotential_500", 24, 50, 100, [-60, -40], "system"],
  ["geopotential_500", 72, 76, 100, [-27, -21], "system"],
  ["2m_temperature", 24, 0.9, 1, [-0.15, -0.05], "system"],
  ["2m_temperature", 72, 1.7, 2, [-0.4, -0.2], "system"],
];

test("a win in every case: by how much in the case that people ask for, and from where to where", () => {
  const found = verdict(handmade(win));
  expect(found.headline).toBe("ours beats theirs at every lead of every variable");
  expect(found.sentences).toEqual([
    "The RMSE of ours is 24 % lower than that of theirs (500 hPa geopotential, 72 h; 95 % interval 21 to 27 %). " +
      "Over all 4 cases it goes from 50 % lower (500 hPa geopotential, 24 h) to 10 % lower (2 m temperature, 24 h).",
  ]);
  expect(found.basis).toBe(
    "Scored by the definition “weatherbench2” (cell-area weights; RMSE: root of the mean over all forecasts; ACC: per " +
      "forecast, then the mean, no mean removed), over the globe: 100 forecasts a lead, begun from 2018-01-01 to " +
      "2018-12-31, 24 to 72 h ahead.",
  );
  expect(found.caveats).toEqual([
    "A case is one variable at one lead. Each is tested by itself at 95 %: where there is no difference, about one case in 20 still comes out as won or lost.",
  ]);
  expect(found.counts).toEqual([
    {
      system: "ours",
      metric: "rmse",
      part: { region: "global", season: "all" },
      cases: 4,
      better: 4,
      worse: 0,
      tie: 0,
      tested: 4,
    },
  ]);
});

test("a loss is said as plainly as a win", () => {
  const lost = win.map(([variable, lead, ours, theirs, [low, high] = [0, 0]]): Hand => {
    return [variable, lead, theirs, ours, [-high, -low], "versus"];
  });
  const found = verdict(handmade(lost));
  expect(found.headline).toBe("theirs beats ours at every lead of every variable");
  expect(found.sentences[0]).toContain(
    "The RMSE of ours is 32 % higher than that of theirs (500 hPa geopotential, 72 h; 95 % interval 28 to 36 %)",
  );
});

test("a tie is a tie, whichever number is the smaller", () => {
  const found = verdict(
    handmade([
      ["geopotential_500", 72, 99, 100, [-3, 1], "tie"],
      ["geopotential_500", 120, 200, 200, [-5, 5], "tie"],
    ]),
  );
  expect(found.headline).toBe("ours and theirs cannot be told apart at any lead");
  expect(found.sentences[0]).toBe(
    "The RMSE of ours is 1.0 % lower than that of theirs (500 hPa geopotential, 72 h; 95 % interval from 3.0 % lower to " +
      "1.0 % higher), which may be chance. Over all 2 cases it goes from 1.0 % lower (500 hPa geopotential, 72 h) to " +
      "no change (500 hPa geopotential, 120 h).",
  );
});

describe("what is neither", () => {
  const hands = (outcomes: readonly ("system" | "versus" | "tie")[]): Hand[] =>
    outcomes.map((better, i) => {
      const ours = { system: 90, versus: 110, tie: 100.5 }[better];
      return ["geopotential_500", 24 * (i + 1), ours, 100, [ours - 105, ours - 95], better];
    });

  test.each<[string, ("system" | "versus" | "tie")[], string]>([
    ["wins and ties", ["system", "system", "tie"], "ours beats theirs in 2 of 3 cases and ties in the other"],
    [
      "losses and ties",
      ["versus", "tie", "tie"],
      "theirs beats ours in 1 of 3 cases and ties in the other 2",
    ],
    ["both", ["system", "system", "versus"], "of 3 cases ours wins 2 and theirs 1"],
    ["all three", ["system", "versus", "tie", "tie"], "of 4 cases ours wins 1 and theirs 1, and 2 are ties"],
  ])("%s", (_, outcomes, headline) => expect(verdict(handmade(hands(outcomes))).headline).toBe(headline));

  test("no more decided than chance would decide is no win", () => {
    const ties = (count: number) => Array.from({ length: count }, () => "tie" as const);
    expect(verdict(handmade(hands(["system", ...ties(19)]))).headline).toBe(
      "ours and theirs cannot be told apart: of 20 cases 1 is decided, no more than chance would decide",
    );
    expect(verdict(handmade(hands(["system", "system", ...ties(18)]))).headline).toBe(
      "ours beats theirs in 2 of 20 cases and ties in the other 18",
    );
    expect(verdict(handmade(hands(["versus", "system", ...ties(38)]))).headline).toBe(
      "ours and theirs cannot be told apart: of 40 cases 2 are decided, no more than chance would decide",
    );
  });

  test("the leads of each outcome are named, runs as from and to", () => {
    expect(verdict(handmade(hands(["system", "system", "tie", "versus", "system"]))).more).toEqual([
      "In detail, ours is ahead in 500 hPa geopotential (24 to 48 h and 120 h); behind in 500 hPa geopotential (96 h); " +
        "not told apart in 500 hPa geopotential (72 h).",
    ]);
  });
});

test("one variable, one lead: no more is said than there is", () => {
  const found = verdict(handmade([["2m_temperature", 24, 1, 2, [-1.2, -0.8], "system"]]));
  expect(found.headline).toBe("ours beats theirs");
  expect(found.sentences).toEqual([
    "The RMSE of ours is 50 % lower than that of theirs (2 m temperature, 24 h; 95 % interval 40 to 60 %).",
  ]);
  expect(found.caveats).toEqual([]);
});

test("without intervals nobody beats anybody", () => {
  const bare = win.map(([variable, lead, ours, theirs]): Hand => [variable, lead, ours, theirs]);
  const found = verdict(handmade(bare, { intervals: null }));
  expect(found.headline).toBe(
    "The RMSE of ours is lower than that of theirs at every lead of every variable (not tested)",
  );
  expect(found.sentences[0]).toContain(
    "is 24 % lower than that of theirs (500 hPa geopotential, 72 h). Over",
  );
  expect(found.caveats).toEqual([
    "No confidence intervals were made, so whether a difference is more than chance cannot be said.",
  ]);
  const mixed = verdict(handmade([...bare, ["2m_temperature", 120, 3, 2]], { intervals: null }));
  expect(mixed.headline).toBe("The RMSE of ours is lower than that of theirs in 4 of 5 cases (not tested)");
  const noRows = verdict(handmade(bare, { intervals: null, differences: [] }));
  expect(noRows.headline).toBe(found.headline);
});

test("a case without a test among tested ones takes the win away", () => {
  const found = verdict(handmade([...win, ["2m_temperature", 120, 2, 3]]));
  expect(found.headline).toBe(
    "The RMSE of ours is lower than that of theirs at every lead of every variable (1 not tested)",
  );
});

test("a correlation is better when high, and told by its difference", () => {
  const found = verdict(
    handmade(
      [
        ["geopotential_500", 72, 0.92, 0.8, [0.1, 0.14], "system"],
        ["geopotential_500", 120, 0.7, 0.6, [0.05, 0.15], "system"],
      ],
      {},
      "acc",
    ),
  );
  expect(found.headline).toBe("ours beats theirs at every lead");
  expect(found.sentences).toEqual([
    "The ACC of ours is higher by 0.12 than that of theirs (500 hPa geopotential, 72 h; 95 % interval 0.10 to 0.14). " +
      "Over all 2 cases it goes from higher by 0.12 (500 hPa geopotential, 72 h) to higher by 0.10 (500 hPa geopotential, 120 h).",
  ]);
});

test("where another score says otherwise, the headline is that of one score", () => {
  const [rmse, acc] = [
    handmade(win),
    handmade([["geopotential_500", 72, 0.7, 0.8, [-0.12, -0.08], "versus"]], {}, "acc"),
  ];
  const found = verdict({
    ...rmse,
    rows: [...rmse.rows, ...acc.rows],
    differences: [...rmse.differences, ...acc.differences],
  });
  expect(found.headline).toBe("By RMSE, ours beats theirs at every lead of every variable");
  expect(found.more).toContain("Against theirs, ours is by ACC behind in 1 of 1 case.");
});

test("a system scored by itself gets its numbers and no praise", () => {
  const { document } = makeScores({ systems: { ours: 1 }, baselines: [], versus: null });
  const found = verdict(document);
  expect(found.headline).toBe("ours was scored beside nothing comparable: nothing says whether this is good");
  expect(found.sentences).toHaveLength(1);
  expect(found.sentences[0]).toMatch(
    /^The RMSE of ours is \d+ m² s⁻² \(500 hPa geopotential, 72 h; 95 % interval \d+ to \d+\)\.$/,
  );
  expect(found.counts).toEqual([]);
});

test("scores without a better side give no verdict", () => {
  const found = verdict(makeScores({ metrics: ["bias"] }).document);
  expect(found.headline).toBe("Nothing says which system is better: of Bias neither side is the better one");
  expect(verdict(makeScores({ metrics: [] }).document).headline).toBe(
    "Nothing says which system is better: there are no scores",
  );
});

test("scores that have no value are no cases", () => {
  const document = handmade(win);
  const rows = document.rows.map((row) => (row.lead_hours === 24 ? { ...row, value: null } : row));
  const found = verdict({ ...document, rows });
  expect(found.counts[0]).toMatchObject({ cases: 2, better: 2 });
  expect(found.headline).toBe("ours beats theirs in every variable");
});

test("of two systems against a baseline, each is told, and which has the better scores", () => {
  const { document } = makeScores({ systems: { ours: 0.9, theirs: 1 }, metrics: ["rmse"], leads: [24, 72] });
  const found = verdict(document);
  expect(found.headline).toBe("ours and theirs both beat persistence at every lead of every variable");
  expect(found.sentences[0]).toBe(
    "Of ours and theirs, ours has the lower RMSE in 8 of 8 cases: that of ours is from 13 % lower (850 hPa temperature, 72 h) " +
      "to 6.8 % lower (2 m temperature, 72 h) than that of theirs. The two were not tested against each other: " +
      "--versus theirs tests them.",
  );
  expect(found.sentences).toHaveLength(3);
  expect(found.more).toContain(
    "The RMSE of ours is lower than that of climatology in all 8 cases (not tested).",
  );
});

test("a system that the others are compared with is spoken of by them", () => {
  const { document } = makeScores({
    systems: { ours: 0.8 },
    baselines: ["persistence"],
    versus: "ours",
    leads: [72],
    metrics: ["rmse"],
  });
  expect(verdict(document).headline).toBe("ours beats persistence in every variable");
});

test("published rows are named and take no part", () => {
  const wanted = { systems: { ours: 1.2 }, leads: [72, 120], metrics: ["rmse"] };
  const [plain, quoted] = [makeScores(wanted), makeScores({ ...wanted, published: true })].map(
    ({ document }) => verdict(document),
  );
  expect(quoted!.caveats.at(-1)).toBe(
    "What is marked published (GraphCast) was scored by others, on other forecasts or dates. It stands beside for " +
      "orientation and has no part in this verdict.",
  );
  expect({ ...quoted, caveats: [] }).toEqual({ ...plain, caveats: [] });
});

test("simulated weather is said first", () => {
  const found = verdict(
    makeScores({ systems: { ours: 0.9 }, synthetic: true, leads: [72], metrics: ["rmse"] }).document,
  );
  expect(found.headline).toBe("On simulated weather, ours beats persistence in every variable");
  expect(found.caveats[0]).toBe(
    "The weather is simulated: nothing here says how a system does on real weather.",
  );
});

test("an ensemble is named as one, few forecasts are warned of", () => {
  const { document } = makeScores({ systems: { ours: 0.9 }, members: 8, metrics: ["rmse", "crps"] });
  const found = verdict({ ...document, rows: document.rows.map((row) => ({ ...row, samples: 12 })) });
  expect(found.caveats).toContain(
    "ours is an ensemble of 8 members: but for the scores of ensembles, the mean of them is scored.",
  );
  expect(found.caveats).toContain("Only 12 forecasts of a lead entered: take every number with care.");
  expect(found.more).toContain("Against persistence, ours is by CRPS ahead in 20 of 20 cases.");
});

test("where nothing has a lead, no lead is spoken of", () => {
  const { document } = makeScores({ leads: [0], metrics: ["rmse"] });
  const found = verdict({ ...document, rows: document.rows.map((row) => ({ ...row, samples: 12 })) });
  expect(found.basis).toContain(", over the globe: 12 fields, valid ");
  expect(found.caveats).toContain("Only 12 fields entered: take every number with care.");
  expect(found.caveats.join(" ")).toContain("A case is one variable. Each is tested");
});

test("a region speaks where there is no globe", () => {
  const found = verdict(makeScores({ regions: ["europe", "tropics"], metrics: ["rmse"] }).document);
  expect(found.basis).toContain(", over europe: 730 forecasts a lead");
  expect(found.counts.map(({ part }) => part.region)).toEqual(expect.arrayContaining(["europe", "tropics"]));
});
