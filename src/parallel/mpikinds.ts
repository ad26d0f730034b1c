// The three kinds of MPI libraries there are, told apart by what they export, and the values of their constants.

/** Which binary interface a library has. The family of MPICH has Intel MPI, MVAPICH and Cray MPICH too. */
export type MpiKind = "Open MPI" | "MPICH" | "MPI-5 ABI";

export const threadLevels = ["single", "funneled", "serialized", "multiple"] as const;
/** What MPI lets threads do: "multiple" and "serialized" let other threads than the first make calls. */
export type ThreadLevel = (typeof threadLevels)[number];

/**
 * Handles and constants as the C interface takes them. Pointers and integers alike are passed in a register as
 * intptr_t: of one that holds an integer handle the callee reads the lower half.
 */
export interface Constants {
  readonly world: bigint;
  readonly float: bigint;
  readonly double: bigint;
  readonly byte: bigint;
  readonly sum: bigint;
  readonly max: bigint;
  /** MPI_IN_PLACE, for send buffers. */
  readonly inPlace: bigint;
  readonly ignoreStatus: bigint;
  readonly errorsReturn: bigint;
  /** By thread level, in the order of `threadLevels`. */
  readonly levels: readonly number[];
}

/**
 * The constants of a library of this kind.
 *
 * @param address  of a symbol that the library exports: Open MPI's handles are addresses
 */
export function constantsOf(kind: MpiKind, address: (symbol: string) => bigint): Constants {
  if (kind === "Open MPI")
    return {
      world: address("ompi_mpi_comm_world"),
      float: address("ompi_mpi_float"),
      double: address("ompi_mpi_double"),
      byte: address("ompi_mpi_byte"),
      sum: address("ompi_mpi_op_sum"),
      max: address("ompi_mpi_op_max"),
      inPlace: 1n,
      ignoreStatus: 0n,
      errorsReturn: address("ompi_mpi_errors_return"),
      levels: [0, 1, 2, 3],
    };
  return kind === "MPICH" ? mpich : standard;
}

/** mpi.h of MPICH, which its ABI initiative holds fixed since 2014. */
const mpich: Constants = {
  world: 0x44000000n,
  float: 0x4c00040an,
  double: 0x4c00080bn,
  byte: 0x4c00010dn,
  sum: 0x58000003n,
  max: 0x58000001n,
  inPlace: -1n,
  ignoreStatus: 1n,
  errorsReturn: 0x54000001n,
  levels: [0, 1, 2, 3],
};

/** MPI 5.0, appendix A, "Application Binary Interface". */
const standard: Constants = {
  world: 0x101n,
  float: 0x210n,
  double: 0x214n,
  byte: 0x247n,
  sum: 0x21n,
  max: 0x23n,
  inPlace: 1n,
  ignoreStatus: 0n,
  errorsReturn: 0x143n,
  levels: [0, 1024, 2048, 4096],
};
