# SPDX-License-Identifier: Apache-2.0
"""What README and docs say must exist: links, pictures, scripts, make targets, commands with their options, keys."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from recon_core.cli import app
from recon_core.methods.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]
)
PICTURE_LIMIT_BYTES = 1_500_000
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
SCRIPT = re.compile(r"\b(?:render_scripts|benchmarks|docs|tests|recon_core|configs)/[\w/]*\.(?:py|yaml)\b")
RECON = re.compile(r"^(?:\$ )?(?:\S*/)?recon (.+)$")


def blocks(text: str) -> list[str]:
    """Lines of fenced and of indented code."""
    fenced = [line for block in FENCE.findall(text) for line in block.splitlines()[1:-1]]
    return [
        line.strip() for line in [*fenced, *re.findall(r"^ {4}(\S.*)$", FENCE.sub("", text), re.MULTILINE)]
    ]


def inline(text: str) -> list[str]:
    """What stands between backticks."""
    return INLINE.findall(FENCE.sub("", text))


def commands(lines: list[str]) -> list[list[str]]:
    """Words after `recon`, comments left out; where the verb itself is a placeholder there is nothing to check."""
    found = [shlex.split(match.group(1), comments=True) for line in lines if (match := RECON.match(line))]
    return [words for words in found if not words[0].isupper()]


def slug(heading: str) -> str:
    """The anchor of a heading, as the usual renderers make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def each_page(function):
    """Run a test once for every page."""
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())(
        function
    )


def test_there_are_pages_and_commands() -> None:
    names = {page.name for page in PAGES}
    assert {
        "README.md",
        "conventions.md",
        "dataset.md",
        "training.md",
        "methods.md",
        "evaluation.md",
    } <= names
    assert len(commands([line for page in PAGES for line in blocks(page.read_text(encoding="utf-8"))])) > 10


def test_recipe_reference_is_what_the_classes_say() -> None:
    main = runpy.run_path(str(ROOT / "docs" / "make_recipe_reference.py"))["main"]
    written = (ROOT / "docs" / "recipe_reference.md").read_text(encoding="utf-8")
    hint = "run: python docs/make_recipe_reference.py > docs/recipe_reference.md"
    assert written == main(), hint


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{target} does not exist"
        assert other.is_relative_to(ROOT), f"{target} leads out of the repository"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{target}: no such heading"


@each_page
def test_scripts_and_make_targets_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = [*blocks(text), *inline(text)]
    for name in {name for line in code for name in SCRIPT.findall(line)}:
        assert (ROOT / name).is_file(), f"{name} does not exist"
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in {word for line in code for word in re.findall(r"^make ([a-z][\w-]*)\b(?!=)", line)}:
        assert target in targets, f"make {target}"


@each_page
def test_shown_commands_parse(page: Path) -> None:
    for words in commands(blocks(page.read_text(encoding="utf-8"))):
        verb, arguments = words[0], words[1:]
        assert verb in VERBS, f"recon {verb}"
        # Raises a usage error for unknown options, missing arguments and values out of range; runs nothing.
        parsed = VERBS[verb].make_context(verb, arguments).params
        if verb == "train" and parsed["recipe"]:
            load_recipe(parsed["recipe"], list(parsed["overrides"] or []))


@each_page
def test_mentioned_commands_exist(page: Path) -> None:
    for words in commands(inline(page.read_text(encoding="utf-8"))):
        assert words[0] in VERBS, f"recon {words[0]}"
        options = {name for one in VERBS[words[0]].params for name in (*one.opts, *one.secondary_opts)}
        for word in words[1:]:
            assert not word.startswith("--") or word.partition("=")[0] in options | {"--help"}, " ".join(
                words
            )


@each_page
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    if page.name != "benchmarks.md":
        assert "TODO" not in page.read_text(encoding="utf-8")


def test_every_verb_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"| `recon {verb}` |" not in text] == []


def test_every_recipe_is_explained() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    recipes = [path.name for path in ROOT.glob("configs/*.yaml")]
    assert [name for name in recipes if f"(../configs/{name})" not in text] == []


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").glob("*.png")}
    assert sizes
    assert {name: size for name, size in sizes.items() if size >= PICTURE_LIMIT_BYTES} == {}
