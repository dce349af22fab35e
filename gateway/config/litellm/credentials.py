"""`credential_list`: what entries of `model_list` share by name."""

from gateway.config.litellm.given import Notes, Section


class Credentials:
    """By name. Those that no entry names stay in `root`, and are reported."""

    def __init__(self, root: Section, notes: Notes) -> None:
        self._values: dict[str, Section] = {}
        self._used: set[str] = set()
        self._notes = notes
        for each in root.parts("credential_list"):
            name = each.text("credential_name")
            values = each.part("credential_values")
            if name is not None:
                self._values.setdefault(name, values)

    def fill(self, params: Section) -> None:
        """Into the parameters of an entry, whose own values win."""
        at = params.at("litellm_credential_name")
        name = params.text("litellm_credential_name")
        if name is None:
            return
        if name not in self._values:
            self._notes.add("lost", at, f"{name} is not in credential_list")
            return
        params.fill(self._values[name])
        self._used.add(name)

    def discard_used(self) -> None:
        """What is left of those was reported with the entries that use them."""
        for name in self._used:
            self._values[name].discard()
