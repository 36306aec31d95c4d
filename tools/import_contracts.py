"""Import rules that import-linter lacks; pyproject.toml names them and gives their settings.

Both look at direct imports only and pass over packages that are not written yet.
"""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


def _within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _imports(graph: ImportGraph) -> list[tuple[str, str]]:
    return sorted(
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    )


class _DirectImports(Contract):
    """Reports every direct import that `broken` returns."""

    def broken(self, importer: str, imported: str) -> bool:
        raise NotImplementedError

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        found = [pair for pair in _imports(graph) if self.broken(*pair)]
        lines = [
            f"{importer} -> {imported} (l.{detail['line_number']})"
            for importer, imported in found
            for detail in graph.get_import_details(importer=importer, imported=imported)
        ]
        return ContractCheck(kept=not found, metadata={"lines": lines})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["lines"]:
            output.print_error(f"- {line}", bold=False)
        output.new_line()


class StdlibOnly(_DirectImports):
    """`packages` import nothing but themselves, the standard library and what `besides` names."""

    type_name = "stdlib_only"
    packages: Any = fields.ListField(subfield=fields.StringField())
    besides: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def broken(self, importer: str, imported: str) -> bool:
        return (
            _within(importer, self.packages)
            and not _within(imported, self.packages + self.besides)
            and imported.partition(".")[0] not in sys.stdlib_module_names
        )


class OnlyFrom(_DirectImports):
    """`modules`, ours or others', are imported by themselves and by `importers`, and by nobody else."""

    type_name = "only_from"
    modules: Any = fields.ListField(subfield=fields.StringField())
    importers: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def broken(self, importer: str, imported: str) -> bool:
        home = [module for module in self.modules if _within(imported, [module])]
        return bool(home) and not _within(importer, home + self.importers)
