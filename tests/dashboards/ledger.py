"""Whether money is counted as it should, and how the processes do."""

from typing import Final

from tests.dashboards.panels import Board, Panel, Row, quantiles, rate

LEDGER: Final = Board(
    "ledger",
    "ledger and process",
    "Whether money is counted as it should, and how the processes do.",
    (
        Row(
            "Ledger",
            (
                Panel(
                    "Time of an operation",
                    "What one operation of the ledger takes.",
                    "s",
                    quantiles("gateway_ledger_duration_seconds", 0.99, by="op"),
                ),
                Panel(
                    "Errors",
                    "Operations that failed, by kind.",
                    "ops",
                    ((rate("gateway_ledger_errors_total", by="op, kind"), "{{op}} {{kind}}"),),
                ),
                Panel(
                    "Mode",
                    "0 the ledger answers, 1 calls go by local shares, 2 calls are refused.",
                    "short",
                    (("max by (instance) (gateway_ledger_mode)", "{{instance}}"),),
                ),
                Panel(
                    "Open holds",
                    "Calls that money is held for.",
                    "short",
                    (("max by (tenant) (gateway_holds_open)", "{{tenant}}"),),
                ),
                Panel(
                    "Expired holds",
                    "Holds that nobody settled in the last hour; they were charged in full.",
                    "short",
                    (
                        (
                            "sum by (tenant) (increase(gateway_holds_expired_total[1h]))",
                            "{{tenant}}",
                        ),
                    ),
                ),
                Panel(
                    "Settles that failed",
                    "Tries that did not come through. Each is made again, until it is given up.",
                    "ops",
                    ((rate("gateway_settle_failures_total", by="reason"), "{{reason}}"),),
                ),
                Panel(
                    "Spent of what was held",
                    "What calls cost, as a part of the ceiling that was held for them.",
                    "percentunit",
                    quantiles("gateway_settle_ratio", 0.5, 0.95),
                ),
                Panel(
                    "Overruns",
                    "Calls in the last hour whose bill exceeded what was held.",
                    "short",
                    (("sum(increase(gateway_budget_overruns_total[1h]))", "calls"),),
                    kind="stat",
                ),
                Panel(
                    "Usage records",
                    "Records that were written on to where usage is kept, or lost before.",
                    "ops",
                    ((rate("gateway_usage_records_total", by="outcome"), "{{outcome}}"),),
                ),
            ),
        ),
        Row(
            "Process",
            (
                Panel(
                    "CPU",
                    "Cores in use, of all processes of an instance.",
                    "short",
                    (("rate(process_cpu_seconds_total[$__rate_interval])", "{{instance}}"),),
                ),
                Panel(
                    "Memory",
                    "Of all processes of an instance.",
                    "bytes",
                    (("process_resident_memory_bytes", "{{instance}}"),),
                ),
                Panel(
                    "Open files",
                    "Files and sockets, of what the process with the most may have open.",
                    "percentunit",
                    (("process_open_fds / (process_max_fds > 0)", "{{instance}}"),),
                ),
                Panel(
                    "Reloads",
                    "Times in the last hour that the configuration was read again.",
                    "short",
                    (
                        (
                            "sum by (result) (increase(gateway_config_reloads_total[1h]))",
                            "{{result}}",
                        ),
                    ),
                ),
                Panel(
                    "Configurations in use",
                    "More than one: some replica has not read the latest.",
                    "short",
                    (("count(count_values('hash', gateway_config_hash))", "configurations"),),
                    kind="stat",
                ),
                Panel(
                    "Version",
                    "How many instances run which version.",
                    "short",
                    (("count by (version) (gateway_build_info == 1)", "{{version}}"),),
                    kind="stat",
                ),
            ),
        ),
    ),
)
