"""Files for a base model: a description as the docstring, then the program, not asked for in a prompt's frame.

A row of the split `pretraining` holds the description as its prompt and the program as its solution, like every row;
`file_head` is what stands above the program in a file. Compositions come from a stream of their own (`split`), atoms
from the atomic rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datamodules.atoms import Atom
from datamodules.synthesis.composition.tree import depth_one
from datamodules.synthesis.dataset.rows import Row
from datamodules.synthesis.dataset.seeding import generator
from datamodules.synthesis.dataset.split import PRETRAINING, Taken
from datamodules.synthesis.wording.describe import describe
from datamodules.synthesis.wording.frames import DOCSTRINGS


def file_head(description: str) -> str:
    """Write what stands above the program of a file: the description as a docstring, and two empty lines."""
    return f'"""{description}"""\n\n\n'


def files_of_atoms(atomic: Sequence[Row], atoms: Mapping[str, Atom], *, seed: int, taken: Taken) -> list[Row]:
    """Make the file of every atomic row, with the same phrasing, program and tests; notes behaviours as taken."""
    rows = []
    for row in atomic:
        atom, language = atoms[row["atoms"][0]], row["language"]
        phrasing = atom.phrasings[language][int(row["task_id"].rpartition("/")[2])]
        task_id = f"{PRETRAINING}/{row['task_id']}"
        taken.behaviour_of_task[task_id] = taken.behaviour_of_task[row["task_id"]]
        frame = generator(seed, "file of atom", task_id).choice(DOCSTRINGS[language])
        prompt = describe(depth_one(atom), frame=frame, phrasings=[phrasing])
        rows.append({**row, "task_id": task_id, "prompt": prompt})
    return rows
