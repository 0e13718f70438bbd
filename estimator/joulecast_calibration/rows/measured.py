"""Rows of truth as they lie in ``data/measurements/<accelerator>/*.jsonl``: one JSON object a line, each with ``kind``.

``session``: first line of every process; what is the same for all that follow. ``constants``: counter, host and device
constants of a run. ``graph``: once for each digest of a file, before the first row that has it: what was traced.
``layer``, ``network``: a measured execution. ``window``: the same measured otherwise, for a cross-check. ``failure``:
what could not be measured, and why (out of memory is one). ``end``: last line of a process that was not killed. A file
cut at any byte is readable up to its last whole line.

``COLUMNS`` describes every column of every kind. What is not known is null.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1

LAYER_AND_NETWORK = ("layer", "network")
WINDOWED = (*LAYER_AND_NETWORK, "window")
CONFIGURED = (*WINDOWED, "failure")
KINDS = ("session", "constants", "graph", *CONFIGURED, "end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a row.

    - ``name``: with a dot for what lies inside an object, or in each object of a list.
    - ``unit``: of the number; counts and shares have the unit 1, other values "".
    - ``always``: whether every valid row of these ``kinds`` that was measured on a GPU has it; else ``meaning`` says
      when.
    """

    name: str
    unit: str
    meaning: str
    kinds: tuple[str, ...]
    always: bool


def _always(kinds: tuple[str, ...], *columns: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(name=n, unit=u, meaning=m, kinds=kinds, always=True) for n, u, m in columns)


def _sometimes(kinds: tuple[str, ...], *columns: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(name=n, unit=u, meaning=m, kinds=kinds, always=False) for n, u, m in columns)


_CONFIGURATION = (
    ("identity", "", "of the configuration; the same in its repeats and anchors"),
    ("task", "", 'of a network; "" for a layer'),
    ("repeat", "1", "1 for a second measurement of the same"),
    ("anchor", "", "start or end, for the configurations that open and close each run; else null"),
    ("window", "", "long (8 s) or codecarbon, for kind window; else null"),
    ("runtime", "", "torch-eager, torch-cudagraph, torch-compile or onnxruntime-cuda"),
    ("precision", "", "what the arithmetic runs in; default: what torch does unasked"),
    ("batch_size", "1", "null for a layer, whose shapes hold it"),
    ("sequence_length", "1", "tokens, of a network that reads text; else null"),
    ("audio_seconds", "s", "of sound, of a network that hears; else null"),
    ("l2_state", "", "rotated or hot, of a layer; null for a network"),
    ("op_type", "", "of a layer; null for a network"),
    ("predicted_seconds", "s", "of one execution on another card: for order and budget only, never truth"),
    ("predicted_joules", "J", "likewise"),
    ("rows", "1", "counted rows with a kernel of one execution"),
    ("macs", "1", "multiply-adds"),
    ("params", "1", "trainable elements, a shared tensor once"),
    ("activations", "1", "output elements of rows with multiply-adds"),
    ("input_numel", "1", "input elements"),
    ("bytes_moved", "B", "weights, inputs and outputs, in the dtype executed"),
    ("kernels", "1", "launched in eager mode"),
    ("views", "1", "calls that launch nothing"),
    ("module_calls", "1", "of one forward pass; 0 for a layer"),
)
"""Columns known before a configuration runs; counts are the index's until the measuring machine counts again."""

COLUMNS: tuple[Column, ...] = (
    *_always(
        KINDS,
        ("kind", "", "what the row is"),
        ("schema", "1", "version of these columns: raised when one is renamed, removed or changes its meaning"),
        ("run_id", "", "one continuous hold of a card; a random effect of a fit"),
        ("process", "1", "number of the process in the run's chain, from 1"),
        ("sequence", "1", "number of the row in its process, from 0"),
        ("at_seconds", "s", "since the process began, when the row was written"),
        ("simulated", "", "whether card or meter do not exist; such a row is never fitted"),
    ),
    *_always(
        ("session",),
        ("started_at", "", "ISO 8601, UTC"),
        ("accelerator", "", "node label nvidia.com/gpu.product, normalised; simulated-… where the card is"),
        ("card", "", "salted hash of the card's UUID; a random effect of a fit"),
        ("driver", "", "version"),
        ("power_limit_watts", "W", "as enforced"),
        ("memory_bytes", "B", "of the device"),
        ("notes", "", "what is odd about this card's readings, and which power reading it is"),
        ("versions", "", "package to version; also of python, cuda, cudnn and driver libraries, as far as known"),
        ("host", "", "the machine"),
        ("host.processor", "", "its model"),
        ("host.cores", "1", "logical ones"),
        ("host.system", "", "operating system"),
        ("host.boot", "", "salted hash that names this start of the machine"),
        ("seed", "1", "of orders, weights and inputs"),
        ("slices", "", "what was asked for"),
        ("budget_seconds", "s", "of the command"),
        ("suite_digest", "", "of the suite's index"),
    ),
    *_always(
        ("constants",),
        ("key", "", "of the configuration; the same in every run"),
        ("method", "", "counter; or power, where the card has none and its power reading is integrated"),
        ("period_seconds", "s", "between two updates of what method reads"),
        ("jitter_seconds", "s", "standard deviation of that"),
        ("resolution_joules", "J", "step in which the counter counts; null by integration"),
        ("rise_seconds", "s", "after a step of the load up, until readings and pace stay within 2 % of their end"),
        ("fall_seconds", "s", "after a step down"),
        ("lag_seconds", "s", "the longer of the two: the shortest warm-up"),
        ("power_period_seconds", "s", "between two updates of the power reading"),
        ("power_lag_seconds", "s", "as lag_seconds, of the power reading"),
        ("read_seconds", "s", "that one reading takes the process"),
        ("idle_watts", "W", "before the load, clocks down"),
        ("busy_watts", "W", "under the load that this was found out with"),
        ("notes", "", "as the session's, and whether there is a counter"),
        ("gap_watts", "W", "P_gap: a context alive, clocks up, no kernel; null where gap_error says why"),
    ),
    *_sometimes(
        ("constants",),  # of real work only
        ("gap", "", "how gap_watts was found; real work alone"),
        ("gap.watts", "W", "gap_watts"),
        ("gap.busy_watts", "W", "of the same kernel without pauses"),
        ("gap.residual_watts", "W", "root mean square distance of the points from the line"),
        ("gap.points", "", "windows with pauses, through which the line was drawn"),
        ("gap.points.share", "1", "of the time in which the device was busy"),
        ("gap.points.watts", "W", "mean power then"),
        ("gap.gap_error", "", "in place of the above: why it could not be measured"),
        ("host_constants", "", "what the host needs to launch a forward pass; real work alone"),
        ("host_constants.kernel_seconds", "s", "a: of one kernel"),
        ("host_constants.view_seconds", "s", "b: of one view"),
        ("host_constants.module_call_seconds", "s", "c: of one module's call"),
        ("host_constants.forward_seconds", "s", "of one pass beside these"),
        ("host_constants.relative_residual", "1", "root mean square of what their sum misses"),
        ("host_constants.host_error", "", "in place of the above: why it could not be measured"),
        ("ceilings", "", "what the device reaches at most: large copies and matrix products; real work alone"),
        ("ceilings.what", "", "copy or gemm"),
        ("ceilings.dtype", "", "of the numbers; tf32 is float32 multiplied as such"),
        ("ceilings.data", "", "random or zeros"),
        ("ceilings.bytes_per_second", "B/s", "of a copy: read and written"),
        ("ceilings.flops_per_second", "1/s", "of a gemm: two operations a multiply-add"),
        ("ceilings.watts", "W", "mean power"),
        ("ceilings.joules", "J", "of one execution"),
        ("ceilings.seconds", "s", "of one execution"),
        ("ceilings_error", "", "in place of ceilings: why they could not be measured"),
    ),
    *_always(
        ("graph",),
        ("digest", "", "of the graph of a network, or of the call of a layer, as traced on the measuring machine"),
        ("name", "", "named source, or function of a layer"),
        ("families", "", "of a layer, the lineages of the suite's networks that have it; empty for a network"),
        ("unsupported", "1", "operators that have no counting rule; the row is then not fitted"),
        ("contents", "", "distinct rows with a kernel and how often each runs: rows.graphs packs and unpacks them"),
    ),
    *_always(
        CONFIGURED,
        ("key", "", "of the row; a repeat and an anchor have their own"),
        ("name", "", "named source, or function of a layer; of a Crash its label"),
        ("slice", "", "of the plan, or anchors"),
    ),
    *_always(
        WINDOWED,
        *_CONFIGURATION,
        ("digest", "", "of graph or call as traced on the measuring machine; null where untraced_reason stands"),
        ("digest_expected", "", "the index's, where it differs; else null"),
        ("unsupported", "1", "rows that could not be counted"),
        ("finite", "", "whether every number that came out was"),
        ("valid", "", "false where the row must not be fitted, with invalid_reason"),
        ("peak_memory_bytes", "B", "most that the device held; null where it does not tell"),
        ("method", "", "counter or power, as in constants"),
        ("executions", "1", "in the window, a whole number of them"),
        ("seconds", "s", "of one execution"),
        ("seconds_standard_error", "s", "of seconds"),
        ("watts", "W", "mean power over the window"),
        ("watts_standard_error", "W", "of watts; null where nothing tells it"),
        ("joules", "J", "of one execution: watts × seconds"),
        ("joules_standard_error", "J", "of joules; null where nothing tells it; not the gain of the sensor"),
        ("window_seconds", "s", "length of the window"),
        ("warmup_seconds", "s", "for which the load ran before the window"),
        ("dropped_seconds", "s", "end of the warm-up that was cut off since the window was not good with it"),
        ("dropped_watts", "W", "mean power in it, over whole executions; null where there is none"),
        ("dropped_execution_seconds", "s", "of one execution in it; null where there is none"),
        ("edges", "1", "updates of the counter in the window, its ends included"),
        ("drift", "1", "relative rise of power from begin to end; null where too few executions were seen"),
        ("steady", "", "whether power and pace kept level, and nothing came before; null as drift"),
        ("phase_gap", "1", "largest share of an execution unseen by the sensor; null where it cannot alias"),
        ("single", "", "true where one execution lasts over 3 s and was measured alone"),
        ("power_joules", "J", "of one execution by integration of the power reading; null where it averages too long"),
        ("idle_watts", "W", "of the run's constants"),
        ("gap_watts", "W", "P_gap of the run's constants"),
        ("power_limit_watts", "W", "of the session"),
        ("sm_clock_mhz", "MHz", "mean over the window"),
        ("memory_clock_mhz", "MHz", "mean over the window"),
        ("temperature_celsius", "°C", "mean over the window"),
        ("throttle_reasons", "", "all that were seen in the window"),
        ("redone", "1", "windows thrown away because the counter was reset in them"),
        ("missed", "1", "samples that the sensor did not give"),
    ),
    *_sometimes(
        WINDOWED,
        (
            "invalid_reason",
            "",
            "foreign process, not finite, refused, unmetered, or what hidden activations did",
        ),
        ("message", "", "which foreign process it was; of a refused row, what is wrong with which column"),
        ("untraced_reason", "", "of a row that could not be traced here: its counts are the index's"),
    ),
    *_sometimes(
        ("network", "failure"),
        ("phase", "", "of a pass of a decoder that generates: prefill or decode; a forward pass has no such column"),
        ("context_tokens", "1", "that each sequence of such a pass attends to, the new ones included"),
    ),
    *_always(
        ("layer",),
        ("function", "", "as recorded in the trace"),
        ("executed", "", "what was run in its place, mostly itself"),
        ("buffer_sets", "1", "that took turns, so that weights come from memory and not from the cache"),
        ("multiplicity", "1", "times that the layer occurs in the suite"),
    ),
    *_always(
        ("network",),
        ("hidden_std", "1", "standard deviation of what the last weighted layer is fed; null where there is none"),
        ("fused_attention", "", "whether torch fused attention, which the counts do not; null where it cannot be told"),
    ),
    *_sometimes(
        ("window",),
        ("function", "", "of a layer"),
        ("executed", "", "of a layer"),
        ("buffer_sets", "1", "of a layer"),
        ("multiplicity", "1", "of a layer"),
        ("hidden_std", "1", "of a network"),
        ("fused_attention", "", "of a network"),
    ),
    *_sometimes(
        ("window",),
        ("codecarbon", "", "of window codecarbon: the same load by CodeCarbon; null where codecarbon_missing says why"),
        ("codecarbon_missing", "", "why CodeCarbon could not be asked"),
        ("codecarbon.name", "", "label of the configuration"),
        ("codecarbon.check", "", "codecarbon"),
        ("codecarbon.codecarbon", "", "its version"),
        ("codecarbon.executions", "1", "at least 4,000"),
        ("codecarbon.seconds", "s", "of one of them, by our clock"),
        ("codecarbon.joules", "J", "of the window beside it"),
        ("codecarbon.joules_standard_error", "J", "of the window beside it"),
        ("codecarbon.codecarbon_joules", "J", "of one execution: its GPU energy, handshakes included, divided"),
        ("codecarbon.codecarbon_seconds", "s", "between its start and its stop"),
        ("codecarbon.counter_joules", "J", "of one execution: the counter read before and after, divided"),
        ("codecarbon.codecarbon_difference", "1", "codecarbon_joules ÷ joules − 1"),
    ),
    *_always(
        ("failure",),
        ("reason", "", "OutOfMemory, Crash, Error or what the error calls itself"),
        ("message", "", "one sentence"),
    ),
    *_sometimes(
        ("failure",),
        *_CONFIGURATION,
        ("digest", "", "the index's"),
        ("multiplicity", "1", "of a layer"),
        ("measured_kind", "", "kind that the row would have been; neither it nor the above are in a Crash"),
        ("crashes", "1", "of a Crash: how often the configuration has ended its process"),
        ("given_up", "", "of a Crash: whether it is not tried again"),
    ),
    *_always(("end",), ("reason", "", "complete, budget, process (another one follows) or foreign process")),
)


def columns_of(kind: str) -> frozenset[str]:
    """Return every name that a row of ``kind`` may have."""
    return frozenset(column.name for column in COLUMNS if kind in column.kinds)


def required_of(kind: str) -> frozenset[str]:
    """Return the columns of each valid row of ``kind`` measured on a GPU, without those that lie inside another."""
    return frozenset(column.name for column in COLUMNS if kind in column.kinds and column.always)


EVERY = tuple(column.name for column in COLUMNS if column.always and column.kinds == KINDS)
"""Columns of every row."""

MEASURED = tuple(sorted(required_of("layer") & required_of("network")))
"""Columns of each valid layer and network row."""
