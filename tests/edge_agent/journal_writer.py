"""A writer to be killed: appends groups of 50 events to the journal at ADDRESS and says how many are acknowledged."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from edge_agent.store.journal import SqlJournal
from tests.edge_agent.test_journal import C1, fact, heard

with SqlJournal(sys.argv[1]) as journal:
    last = 0
    while True:
        group = [fact(heard(seq)) for seq in range(last + 1, last + 51)]
        last = journal.append(group, {C1: (3, last + 50)})
        sys.stdout.write(f"{last}\n")
        sys.stdout.flush()
