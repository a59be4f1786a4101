"""What the site's reader of docstrings does not know of itself.

Lines that begin with >>> would become quotations: they are put between fences. What comes before a colon would be taken
for the type of what is returned: the type that is declared comes before it. Between two stars, as of (*spatial, c) and
(*spatial, d), all would be emphasis. And what is private stays out of sight: a room's paragraph on its files is for who
reads those, types are shown by their names, without the files that they stand in, and classes without bases of the
house's own.
"""

import re
from typing import Any

import griffe
from mkdocs.plugins import event_priority

RETURNS = re.compile(r"(?<=^Returns:\n)( +)(?=.*:)", re.MULTILINE)  # where a colon would end the name of a type
STAR = re.compile(r"(^>>> .*(?:\n(?!$).+)*|`[^`]*`|\*\w+\*)|\*", re.M)  # but of code, and around a word
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!$).+)*", re.MULTILINE)  # from a prompt to the next empty line
ASIDE = re.compile(r" \(`_\w+`\)")  # one file's name
FILES = re.compile(r"(?:^|\n\n)(?:(?!\n\n)[\s\S])*`_[a-z]\w*`(?:(?!\n\n)[\s\S])*")  # a paragraph that names files
TOOLTIP = re.compile(r'(<(?:a|span)(?: class="autorefs[^"]*")?) title="[^"]*\bjnn\.[^"]*"')  # the path of a type


class HouseStyle(griffe.Extension):
    """Fences around examples, and nothing private."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each module, class, function and constant that has been read."""
        if isinstance(obj, griffe.Module) and obj.docstring:
            obj.docstring.value = FILES.sub("", ASIDE.sub("", obj.docstring.value))
        if isinstance(obj, griffe.Function) and obj.docstring and obj.returns:
            obj.docstring.value = RETURNS.sub(lambda indent: f"{indent[0]}{obj.returns}: ", obj.docstring.value)
        if isinstance(obj, griffe.Function | griffe.Class) and obj.docstring:
            obj.docstring.value = STAR.sub(lambda star: star[1] or "\\*", obj.docstring.value)
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", obj.docstring.value)
        if isinstance(obj, griffe.Class):
            obj.bases = [base for base in obj.bases if not _own(base)]


def _own(base: griffe.Expr | str) -> bool:
    return (base if isinstance(base, str) else base.canonical_path).startswith("jnn.")


@event_priority(-100)  # after the links are made
def on_post_page(output: str, **_: Any) -> str:
    """Called by MkDocs for each page that is whole."""
    return TOOLTIP.sub(r"\1", output)
