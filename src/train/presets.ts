// The tasks of the paper (section 4), each as the settings that differ from the defaults: what a user who says no
// more than the task and the data gets. Values are the paper's (tables 4 and 9, appendix B) unless a line says otherwise.

/** What a task is called on the command line. */
export const taskNames = ["global", "regional", "s2s", "projection", "downscaling"] as const;
export type TaskName = (typeof taskNames)[number];

/** Settings by key, in the shape of `FinetuneConfig`. */
export type Preset = Readonly<Record<string, unknown>>;

/** 6 hours, 1, 3, 5 and 7 days, 2 weeks and a month of 30 days; the paper trains a model for each of them. */
const allLeads = [6, 24, 72, 120, 168, 336, 720];
const upperAir = ["geopotential_500", "temperature_850"];
const surface = ["2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind"];

/** What each task predicts, of what a set has. */
export const outputsOf: Readonly<Record<TaskName, readonly string[]>> = {
  global: [...upperAir, ...surface],
  regional: [...upperAir, ...surface],
  s2s: ["temperature_850", ...surface],
  projection: ["2m_temperature", "diurnal_temperature_range", "mean_total_precipitation_rate", "pr90"],
  downscaling: [...upperAir, ...surface],
};

const from = (checkpoint: boolean, lr: number) => ({
  lr: checkpoint ? lr : 5e-4, // a model from nothing is trained as in pretraining
  beta1: 0.9,
  beta2: 0.999,
  weightDecay: 1e-5,
  warmup: "5 epochs",
});
const schedule = { epochs: 50, batchSize: 128, patience: 5 };

const presets: Readonly<Record<TaskName, (checkpoint: boolean) => Preset>> = {
  global: (checkpoint) => ({
    data: { leads: allLeads },
    optimiser: from(checkpoint, 5e-7),
    training: schedule,
  }),
  regional: (checkpoint) => ({
    region: "NorthAmerica",
    data: { leads: [72, 120, 168] },
    optimiser: from(checkpoint, 5e-7),
    training: schedule,
  }),
  s2s: (checkpoint) => ({
    data: { leads: [336, 672], average: 336 },
    // The paper does not give its rate for this task; that of forecasting is taken.
    optimiser: { ...from(checkpoint, 5e-7), warmup: 150 },
    training: { ...schedule, batchSize: 32, maxSteps: 1500 },
  }),
  projection: (checkpoint) => ({
    data: {
      inputs: ["CO2", "SO2", "CH4", "BC"],
      history: 10,
    },
    optimiser: { ...from(checkpoint, 5e-4), warmup: 60 },
    training: { ...schedule, batchSize: 64, maxSteps: 600, patience: undefined },
  }),
  downscaling: (checkpoint) => ({
    data: { interpolate: "bilinear" },
    optimiser: { ...from(checkpoint, 5e-5), warmup: 2000 },
    training: { ...schedule, maxSteps: 20000 },
  }),
};

/**
 * The settings of a task.
 *
 * @param checkpoint  whether training starts from one: the learning rate is then smaller
 */
export function presetOf(task: TaskName, checkpoint: boolean): Preset {
  return presets[task](checkpoint);
}
