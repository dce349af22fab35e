"""Why a setting of theirs has no place here, by its name; others are reported as unknown."""

from collections.abc import Mapping
from typing import Final

_ITSELF: Final = "failures are handled by fixed rules: docs/errors.md"
_RECORDS: Final = "usage records are always written: docs/usage.md"
_KEYS: Final = "keys and budgets live in the ledger, not in a database: docs/keys.md"
_LOG: Final = "a `log` section writes one line of JSON a request: docs/logs.md"
_ALERTS: Final = "alerts.webhook tells of budgets; the rest are Prometheus alerts"

CHANGED: Final[Mapping[str, str]] = {
    "allowed_fails": _ITSELF,
    "allowed_fails_policy": _ITSELF,
    "cooldown_time": _ITSELF,
    "disable_cooldowns": _ITSELF,
    "max_retries": _ITSELF,
    "num_retries": _ITSELF,
    "retry_after": _ITSELF,
    "retry_policy": _ITSELF,
    "model_group_retry_policy": _ITSELF,
    "enable_pre_call_checks": "always on: who has no room for a prompt is not asked",
    "optional_pre_call_checks": "limits always hold, and prompts are always measured",
    "routing_strategy": "deployments share by weight; a route has `order: fastest` or `least_busy`",
    "routing_strategy_args": "deployments share by weight; a route has an order of its own",
    "order": "some have the same, so all share by weight: who only steps in goes in `fallbacks`",
    "set_verbose": _LOG,
    "json_logs": _LOG,
    "cache": "a route has a `cache`, kept in memory: docs/cache.md",
    "disable_spend_logs": _RECORDS,
    "store_prompts_in_spend_logs": "records never hold prompts or answers",
    "redact_user_api_key_info": "keys are never written anywhere",
    "turn_off_message_logging": "prompts and answers are not logged unless you say so",
    "background_health_checks": "health is judged by the calls that are made",
    "health_check_interval": "health is judged by the calls that are made",
    "stream_timeout": "timeouts.answer_s is also until the first piece; idle_s between pieces",
    "timeout": "one timeout holds for all calls: timeouts.answer_s",
    "request_timeout": "one timeout holds for all calls: timeouts.answer_s",
}
LOST: Final[Mapping[str, str]] = {
    "ttl": "a route's `cache` has ttl_s: docs/cache.md",
    "namespace": "keys in Redis have a prefix of their own",
    "supported_call_types": "a route has a `cache`: docs/cache.md",
    "database_url": f"{_KEYS}. Keys that were made there must be made anew",
    "store_model_in_db": "models are in files; those in its database are not in this list",
    "alerting": _ALERTS,
    "alerting_threshold": _ALERTS,
    "alert_types": _ALERTS,
    "alert_to_webhook_url": _ALERTS,
    "success_callback": "metrics are at /metrics, records in usage.sink",
    "failure_callback": "metrics are at /metrics, records in usage.sink",
    "callbacks": "metrics are at /metrics, records in usage.sink",
    "service_callbacks": "metrics are at /metrics, records in usage.sink",
    "guardrails": "a route's checks look at answers; nothing looks at prompts",
    "access_groups": "a tenant or a key has `models`, a list of patterns",
    "organization": "no header can be added to a provider's calls",
    "extra_headers": "no header can be added to a provider's calls",
    "headers": "no header can be added to a provider's calls",
    "azure_ad_token": "Azure is asked by its key",
    "tenant_id": "Azure is asked by its key",
    "client_id": "Azure is asked by its key",
    "client_secret": "Azure is asked by its key",
    "aws_role_name": "give the machine the role, or a profile: auth.aws.profile",
    "aws_session_name": "give the machine the role, or a profile: auth.aws.profile",
    "id": "a deployment is called provider/model here",
    "tags": "who is asked goes by a route's rules: docs/configuration.md",
    "temperature": "requests are sent as clients write them: no value is put in",
    "top_p": "requests are sent as clients write them: no value is put in",
    "seed": "requests are sent as clients write them: no value is put in",
    "stop": "requests are sent as clients write them: no value is put in",
    "max_parallel_requests": "of each model by itself: max_parallel_requests in its litellm_params",
    "include": "give these files on the command line, after this one",
    "environment_variables": "set these variables where the gateway runs",
    "input_cost_per_second": "prices are by the token",
    "output_cost_per_second": "prices are by the token",
    "input_cost_per_request": "prices are by the token",
    "credential_list": "it must be a list of credentials, each with a name and values",
}
UNKNOWN: Final = "nothing here does it"
