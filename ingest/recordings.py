"""The job that groups an item into the recording that it is a clip of."""

from collections.abc import Mapping
from dataclasses import dataclass

from archive.evidence.grouping import RecordingRules
from archive.evidence.regrouping import group_item
from archive.jobs.queue import ClaimedJob, finish_job
from archive.kernel.ids import ObjectId, parse_uuid
from ingest.follow_ups import GROUP_ITEM
from ingest.workshop import Handler, Report, Workshop


@dataclass(frozen=True, slots=True)
class RecordingJobs:
    """Grouping, by the rules that this archive has."""

    shop: Workshop
    rules: RecordingRules

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {GROUP_ITEM: self.group_item}

    def group_item(self, job: ClaimedJob, report: Report) -> None:
        """Put an item among the recordings of its device. Raises: Unavailable, when its turn does not come."""
        del report
        object_id = ObjectId(parse_uuid(job.args["object_id"]))
        with self.shop.database.begin() as tx:
            group_item(tx, object_id, rules=self.rules, at=self.shop.now())
            finish_job(tx, job, at=self.shop.now())
