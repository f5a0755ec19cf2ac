"""The kill matrix: each place of ``pgqueue.failpoints``, with each of kill, stop and cut."""

from __future__ import annotations

from chaos.matrix.cases import Case, cases
from chaos.matrix.report import Row, faults_in, table
from chaos.matrix.run import matrix

__all__ = ["Case", "Row", "cases", "faults_in", "matrix", "table"]
