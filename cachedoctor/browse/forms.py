"""What a command asks before it makes its plan, and the list of all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from cachedoctor.browse.commands import COMMANDS
from cachedoctor.browse.paint import clean
from cachedoctor.errors import CacheDoctorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from textual.app import ComposeResult

    from cachedoctor.browse.commands import Command
    from cachedoctor.browse.proposals import Make


class Tick(Static, can_focus=True):
    """A yes or no shown as a letter, for terminals without colours."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space,enter", "tick", "tick")]

    def __init__(self, label: str, *, id: str) -> None:
        """Start at no."""
        self.ticked = False
        self._label = label
        super().__init__(clean(f"[ ] {label}"), id=id, markup=False)

    def action_tick(self) -> None:
        """Toggle the answer."""
        self.ticked = not self.ticked
        self.update(clean(f"[{'x' if self.ticked else ' '}] {self._label}"))


class Form(ModalScreen["Make | None"]):
    """The fields of one command; the answers make the plan, and change nothing yet."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "cancel"),
        Binding("down", "app.focus_next", "next", show=False),
        Binding("up", "app.focus_previous", "previous", show=False),
    ]

    def __init__(
        self, command: Command, about: str, make: Callable[[Mapping[str, str]], Make]
    ) -> None:
        """Store the `command` to ask for, and what it is `about`."""
        super().__init__()
        self._command, self._about, self._make = command, about, make

    def compose(self) -> ComposeResult:
        """Draw one line per field, then two buttons."""
        with Vertical(classes="box"):
            yield Static(clean(f"{self._command.name}: {self._command.says}", "bold"))
            if self._about:
                yield Static(clean(self._about))
            with VerticalScroll(classes="fields", can_focus=False):
                for number, field in enumerate(self._command.fields):
                    if field.tick:
                        yield Tick(field.label, id=f"field{number}")
                    else:
                        yield Static(clean(field.label), classes="label")
                        box = Input(placeholder=field.hint, compact=True, id=f"field{number}")
                        box.cursor_blink = False
                        yield box
            yield Static("", id="wrong", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Show the plan", id="plan", compact=True)
                yield Button("Cancel", id="leave", compact=True)

    def on_input_submitted(self) -> None:
        """Let enter in a field press the first button: a plan changes nothing."""
        self._submit()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Go on, or back."""
        if event.button.id == "plan":
            self._submit()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Go back without an answer."""
        self.dismiss(None)

    def _submit(self) -> None:
        values = {}
        for number, field in enumerate(self._command.fields):
            if field.tick:
                ticked = self.query_one(f"#field{number}", Tick).ticked
                values[field.name] = "yes" if ticked else ""
            else:
                values[field.name] = self.query_one(f"#field{number}", Input).value
        try:
            made = self._make(values)
        except CacheDoctorError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self.query_one("#wrong", Static).update(clean(f"✗ {error.message}{hint}", "red"))
            return
        self.dismiss(made)


class Menu(ModalScreen["str | None"]):
    """Every command with its key, to read and to choose from."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "leave", "back"),
        Binding("j", "app.simulate_key('down')", show=False),
        Binding("k", "app.simulate_key('up')", show=False),
    ]
    KEYS = (
        ("space", "mark or unmark; a mark by itself does nothing"),
        ("a", "mark everything shown, or unmark it"),
        ("enter", "files, evidence, and what would break"),
        ("/", "filter: words, `size>1G`, `used>90d`, `engine=NAME`; escape clears it"),
        ("s", "change the sort order"),
        ("1 2 3 tab", "models, findings, past changes"),
        ("r", "look again"),
        ("q", "quit"),
    )

    def compose(self) -> ComposeResult:
        """Draw the list, then the keys that are not commands."""
        with Vertical(classes="box menu"):
            yield Static(clean("Every command shows its plan before anything happens", "bold"))
            options = [
                Option(clean(f"{command.key:<2} {command.name:<17} {command.says}"), command.name)
                for command in COMMANDS
            ]
            keys = [Option(clean(f"{key:<10} {says}"), disabled=True) for key, says in self.KEYS]
            yield OptionList(*options, None, *keys, markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Choose a command."""
        self.dismiss(event.option.id)

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)
