// The library: `import { loadModel, readState, forecast } from "climax"`. Importing it loads next to nothing; it prints
// nothing, ends no process, and takes no signals.
export { ClimaxError, type ErrorKind } from "./errors.ts";
export { type Fields, type Forecast, type ForecastOptions, forecast } from "./library/forecast.ts";
export { loadModel, type Model, type ModelGrid, type ModelOptions, type Variable } from "./library/model.ts";
export { readState, type State, type StateOptions } from "./library/state.ts";
