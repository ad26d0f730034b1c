// The classes and functions that PyTorch files name and that are of no use here: they are left unbuilt. The allow-list
// is closed: what is neither here nor built in torchclasses.ts is refused.

/** Single names. */
const SINGLE: ReadonlySet<string> = new Set([
  ...[
    "builtins.complex",
    "builtins.slice",
    "builtins.range",
    "functools.partial",
    "typing.Any",
    "inspect._empty",
  ],
  ..."datetime date time timedelta timezone".split(" ").map((name) => `datetime.${name}`),
  ...["decimal.Decimal", "fractions.Fraction", "uuid.UUID"],
  ...["torch.Generator", "torch._C.Generator"],
]);

/** Packages whose classes are known to be data: names of classes, which begin with a capital. */
const PACKAGES: readonly string[] = [
  // Lightning under its names, what it logs with, its command line.
  ...["pytorch_lightning", "lightning", "lightning_fabric", "lightning_lite", "lightning_utilities"],
  ...["torchmetrics", "omegaconf", "jsonargparse"],
  // Optimisers, schedules and scalers; modules, where somebody saved one.
  ...["torch.optim", "torch.nn", "torch.amp", "torch.cuda.amp", "torch_optimizer", "torch_ema"],
  ...["torchvision.transforms", "timm", "climax"],
  ...["numpy", "pandas", "xarray"],
];
const CLASS = /^_?[A-Z]\w*(\._?[A-Z]\w*)*$/;

/** Modules whose functions are named in hyper-parameters (losses, activations, metrics). */
const FUNCTIONS = /^(torch\.nn\.functional|torch\.nn\.init|torch\._C\._nn|climax(\.\w+)*)\.[a-z]\w*$/;

/** Arrays and their types, and the states of random generators. */
const NUMPY =
  /^numpy\.(_?core\.(multiarray\._reconstruct|numeric\._frombuffer)|ndarray|(u?int|float|complex)\d{1,3}|bool_?|str_|random(\.\w+){1,2})$/;

/** True if objects of this name are known, and known to be of no use here. */
export function isLeftUnbuilt(module: string, name: string): boolean {
  const whole = `${module}.${name}`;
  if (SINGLE.has(whole)) return true;
  if (name.split(".").some(isRunner)) return false; // what a known module has imported itself
  if (FUNCTIONS.test(whole) || NUMPY.test(whole)) return true;
  return CLASS.test(name) && PACKAGES.some((known) => module === known || module.startsWith(`${known}.`));
}

/** Modules through which a pickle can run a program or reach the machine. */
const RUNS = new Set(
  [
    "os posix nt sys subprocess pty commands shutil socket ctypes _ctypes importlib imp runpy code codeop",
    "pickle _pickle cPickle marshal shelve dill cloudpickle joblib webbrowser platform pdb bdb timeit cProfile",
    "profile trace threading thread _thread multiprocessing signal asyncio http urllib urllib2 httplib requests",
    "ftplib smtplib telnetlib tempfile glob io _io fileinput pip pkgutil site sysconfig zipimport gc",
    "operator _operator types inspect ast compileall py_compile distutils setuptools",
  ].flatMap((names) => names.split(" ")),
);
const RUNNING_BUILTINS = new Set(
  "eval exec execfile compile __import__ open input getattr setattr delattr globals locals vars apply breakpoint".split(
    " ",
  ),
);

/** True of the names, without what they are within, that lead to code: modules and functions of Python itself. */
export function isRunner(name: string): boolean {
  return RUNS.has(name) || RUNNING_BUILTINS.has(name) || /^(system|popen|Popen|spawn\w*)$/.test(name);
}

/** True if a call of this name can run what somebody else wrote: no weights need it, and no permission admits it. */
export function runsCode(module: string, name: string): boolean {
  const whole = `${module}.${name}`;
  return (
    RUNS.has(module.split(".")[0]!) ||
    (module === "builtins" && RUNNING_BUILTINS.has(name)) ||
    /^torch\.(hub|utils\.cpp_extension)\b/.test(whole)
  );
}
