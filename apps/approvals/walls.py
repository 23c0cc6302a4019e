"""Migration operations by which the database itself holds four eyes, whoever types the SQL."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.migrations.operations import RunSQL

#: An approval begins pending; what was asked never changes; it ends once, and approved only by its decisions (or, where the
#: merchant's terms allowed cooling-off, after the delay). It expires when it says, unless cooling-off began.
APPROVAL_GUARD = """
CREATE OR REPLACE FUNCTION approvals_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'an approval is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' OR NEW.decided_at IS NOT NULL OR NEW.cools_until IS NOT NULL THEN
            RAISE EXCEPTION 'an approval begins pending' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> 'pending' THEN
        RAISE EXCEPTION 'an approval that has ended never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.merchant_id, NEW.id, NEW.subject_kind, NEW.subject_id, NEW.summary, NEW.digest, NEW.permission, NEW.needed,
        NEW.requested_by_id, NEW.requested_at)
       IS DISTINCT FROM
       (OLD.merchant_id, OLD.id, OLD.subject_kind, OLD.subject_id, OLD.summary, OLD.digest, OLD.permission, OLD.needed,
        OLD.requested_by_id, OLD.requested_at)
       OR NEW.store_id IS DISTINCT FROM OLD.store_id THEN
        RAISE EXCEPTION 'what was asked never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.cools_from, NEW.cools_until) IS DISTINCT FROM (OLD.cools_from, OLD.cools_until)
       AND NEW.cools_until IS NOT NULL THEN
        SELECT cooling_hours INTO allowed FROM approvals_approvalterms
        WHERE merchant_id = NEW.merchant_id AND effective_at <= NEW.cools_from ORDER BY number DESC LIMIT 1;
        IF OLD.cools_until IS NOT NULL OR NEW.cools_from < NEW.requested_at OR NEW.cools_from >= OLD.expires_at
           OR coalesce(allowed, 0) = 0 OR NEW.cools_until < NEW.cools_from + make_interval(hours => allowed) THEN
            RAISE EXCEPTION 'cooling-off is not allowed' USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF NEW.expires_at > OLD.expires_at THEN
        RAISE EXCEPTION 'an approval is not prolonged' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state = 'approved' THEN
        IF NEW.decided_at IS NULL OR NEW.decided_at >= NEW.expires_at OR EXISTS (
            SELECT FROM approvals_decision WHERE merchant_id = NEW.merchant_id AND approval_id = NEW.id AND NOT approved
        ) OR (
            (SELECT count(*) FROM approvals_decision
             WHERE merchant_id = NEW.merchant_id AND approval_id = NEW.id AND approved AND digest = NEW.digest) < NEW.needed
            AND (NEW.cools_until IS NULL OR NEW.decided_at < NEW.cools_until)
        ) THEN
            RAISE EXCEPTION 'nobody else has confirmed this' USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$
"""

#: A decision is about a pending approval that has not expired, of what was asked, by somebody who is a member; on behalf of
#: another only by a delegation in force, while the other is a member as well.
DECISION_GUARD = """
CREATE OR REPLACE FUNCTION approvals_decision_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM approvals_approval
        WHERE merchant_id = NEW.merchant_id AND id = NEW.approval_id AND state = 'pending' AND digest = NEW.digest
          AND NEW.decided_at < expires_at AND NEW.decided_at >= requested_at
    ) THEN
        RAISE EXCEPTION 'nothing of this kind waits for a decision' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (SELECT count(*) FROM merchants_membership
        WHERE merchant_id = NEW.merchant_id AND is_active AND user_id IN (NEW.member_id, NEW.on_behalf_of_id))
       <> 1 + (NEW.on_behalf_of_id IS NOT NULL)::integer THEN
        RAISE EXCEPTION 'only members decide' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.on_behalf_of_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM approvals_delegation
        WHERE merchant_id = NEW.merchant_id AND id = NEW.delegation_id AND NEW.decided_at >= starts_at
          AND NEW.decided_at < least(ends_at, coalesce(ended_at, ends_at))
    ) THEN
        RAISE EXCEPTION 'no delegation is in force' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

#: Who hands the right to whom, and from when, never changes; it can only end sooner, once.
DELEGATION_GUARD = """
CREATE OR REPLACE FUNCTION approvals_delegation_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.merchant_id, NEW.id, NEW.giver_id, NEW.receiver_id, NEW.reason, NEW.starts_at, NEW.ends_at, NEW.created_at)
       IS DISTINCT FROM
       (OLD.merchant_id, OLD.id, OLD.giver_id, OLD.receiver_id, OLD.reason, OLD.starts_at, OLD.ends_at, OLD.created_at)
    THEN
        RAISE EXCEPTION 'a delegation can only be ended' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

#: A row that has an approval leaves its waiting only when that very approval was given. Arguments: the kind of subject, and the
#: states that need none.
GATE = """
CREATE OR REPLACE FUNCTION approvals_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.approval_id IS NOT NULL AND NEW.approval_id IS NULL THEN
        RAISE EXCEPTION '%: the approval is not taken away', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.approval_id IS NOT NULL AND NEW.state <> ALL (string_to_array(TG_ARGV[1], ',')) AND NOT EXISTS (
        SELECT FROM approvals_approval
        WHERE merchant_id = NEW.merchant_id AND id = NEW.approval_id AND state = 'approved'
          AND subject_kind = TG_ARGV[0] AND subject_id = NEW.id
    ) THEN
        RAISE EXCEPTION '%: it waits for another member', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

#: What was confirmed is what is done: these columns of a row with an approval change only while it waits. Arguments: the
#: waiting states, then the columns.
SIGNED = """
CREATE OR REPLACE FUNCTION approvals_signed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    IF OLD.approval_id IS NULL OR OLD.state = ANY (string_to_array(TG_ARGV[0], ',')) THEN
        RETURN NEW;
    END IF;
    FOREACH name IN ARRAY string_to_array(TG_ARGV[1], ',') LOOP
        IF to_jsonb(NEW) -> name IS DISTINCT FROM to_jsonb(OLD) -> name THEN
            RAISE EXCEPTION '%: % was confirmed as it is', TG_TABLE_NAME, name USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END $$
"""


def guard(table: str, function: str, when: str) -> RunSQL:
    """Call ``function`` before each of these (``"INSERT OR UPDATE"``) on a row of ``table``."""
    return RunSQL(
        f'CREATE TRIGGER four_eyes BEFORE {when} ON "{table}" FOR EACH ROW EXECUTE FUNCTION {function}()',
        f'DROP TRIGGER four_eyes ON "{table}"',
    )


def needs_approval(
    table: str,
    *,
    kind: str,
    free: Sequence[str],
    waiting: Sequence[str],
    signed: Sequence[str],
    gate: str = "approvals_gate",
) -> RunSQL:
    """A row of ``table`` with an approval reaches a state that is not ``free`` only when its own approval was given.

    What was ``signed`` changes only while the row is in one of the ``waiting`` states (the approval is void then). ``gate``: a
    function of the table's own, where an approval of something else may cover the row.
    """
    columns = ",".join(signed)
    return RunSQL(
        [
            f'CREATE TRIGGER four_eyes_gate BEFORE UPDATE OF state, approval_id ON "{table}" FOR EACH ROW'
            f" EXECUTE FUNCTION {gate}('{kind}', '{','.join(free)}')",
            f'CREATE TRIGGER four_eyes_signed BEFORE UPDATE OF {columns} ON "{table}" FOR EACH ROW'
            f" EXECUTE FUNCTION approvals_signed('{','.join(waiting)}', '{columns}')",
        ],
        [
            f'DROP TRIGGER four_eyes_signed ON "{table}"',
            f'DROP TRIGGER four_eyes_gate ON "{table}"',
        ],
    )
