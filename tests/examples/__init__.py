"""The applications of ``examples``: their own tests, and the commands of their READMEs."""
