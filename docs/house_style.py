"""What the site's reader of docstrings does not know of itself.

Lines that begin with >>> would become quotations: they are put between fences. And where a function is named as
its file is (`jnn.layers.linear`), Python means the function, so the page does too.
"""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*(?:\n(?!$).+)*", re.MULTILINE)  # from a prompt to the next empty line


class HouseStyle(griffe.Extension):
    """Fences around examples; functions before files of the same name."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each module, class, function and constant that has been read."""
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called once all files have been read."""
        for room in pkg.modules.values():
            files = {name: room.modules[name] for name in map(str, room.exports or ()) if name in room.modules}
            for member in room.members.values():  # first follow imports, while files are still found by name
                if member.is_alias and member.target_path.rpartition(".")[0] in {file.path for file in files.values()}:
                    member.resolve_target()
            for name, file in files.items():
                room.members[name] = griffe.Alias(name, file.members[name], parent=room)
