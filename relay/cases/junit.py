"""Writes results as JUnit XML, which CI systems show."""

from collections.abc import Iterable
from xml.etree import ElementTree

from relay.cases.checking import Failure, since
from relay.cases.running import Report, Result
from relay.logs import clean


def junit(report: Report) -> bytes:
    """Write a report: a suite for each file, a test case for each case.

    Source: the schema that Jenkins and GitLab read (github.com/testmoapp/junitxml).
    """
    root = ElementTree.Element("testsuites", _totals(report.results))
    for file in dict.fromkeys(one.file for one in report.results):
        results = [one for one in report.results if one.file == file]
        suite = ElementTree.SubElement(root, "testsuite", {"name": str(file), **_totals(results)})
        for one in results:
            _case(suite, one)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _totals(results: Iterable[Result]) -> dict[str, str]:
    some = list(results)
    failed = sum(not one.passed for one in some)
    seconds = sum(one.seconds for one in some)
    return {"tests": str(len(some)), "failures": str(failed), "errors": "0", "time": f"{seconds:.3f}"}


def _case(suite: ElementTree.Element, one: Result) -> None:
    words = {
        "name": clean(one.case.name),
        "classname": one.file.stem,
        "file": str(one.file),
        "line": str(one.case.line),
        "time": f"{one.seconds:.3f}",
    }
    element = ElementTree.SubElement(suite, "testcase", words)
    for failure in one.failures:
        message = f"{failure.what}: expected {failure.expected}, got {failure.got}"
        shown = ElementTree.SubElement(element, "failure", {"message": clean(message), "type": "Difference"})
        shown.text = clean(f"{one.file}:{failure.line}:{failure.column}") + "\n" + _told(failure)


def _told(failure: Failure) -> str:
    lines = (f"at {since(failure.at)}", f"expected: {failure.expected}", f"got: {failure.got}", *failure.why)
    return "\n".join(map(clean, lines))
