"""The sentences in which findings are told; ``words`` fills them. For people who run a shop, not a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from apps.operations.doctor.findings import Check, State

CHECKS: Final[Mapping[Check, Promise]] = {
    Check.PLATFORM: gettext_lazy("Platform"),
    Check.CLOCK: gettext_lazy("Clock"),
    Check.CREDENTIALS: gettext_lazy("Keys and numbers"),
    Check.CERTIFICATES: gettext_lazy("Certificates"),
    Check.TERMINALS: gettext_lazy("Terminals"),
    Check.ADDRESS: gettext_lazy("Notification address"),
    Check.NOTICES: gettext_lazy("Notifications"),
    Check.BILLS: gettext_lazy("Bills"),
    Check.PRODUCTS: gettext_lazy("What the contract covers"),
    Check.WORKER: gettext_lazy("Background work"),
    Check.DATABASE: gettext_lazy("Database"),
    Check.DISK: gettext_lazy("Disk space"),
    Check.TIME: gettext_lazy("Time zone"),
    Check.ADDRESSES: gettext_lazy("Addresses of the platforms"),
}

STATES: Final[Mapping[State, Promise]] = {
    State.OK: gettext_lazy("In order"),
    State.WARNING: gettext_lazy("Needs attention"),
    State.BROKEN: gettext_lazy("Does not work"),
    State.UNKNOWN: gettext_lazy("Could not tell"),
}

#: By the finding's code: what is so, and what to do ("" where there is nothing to do).
SENTENCES: Final[Mapping[str, tuple[Promise, Promise | str]]] = {
    "because": (
        gettext_lazy("This could not be told."),
        gettext_lazy("Mend what is said under “%(check)s” first, then examine again."),
    ),
    "untold": (
        gettext_lazy("This could not be told just now."),
        gettext_lazy("Examine again in a few minutes."),
    ),
    # The platform
    "platform_ok": (gettext_lazy("The platform answers."), ""),
    "platform_silent": (
        gettext_lazy("The platform does not answer."),
        gettext_lazy(
            "Payments under way are not lost; the portal asks about them again by itself. Open any web page from the portal's server: if that fails as well, its connection to the internet is down. If it works, let whoever runs the portal see whether its firewall lets calls to %(host)s pass. If it does, the platform itself is down: wait, and take another wallet meanwhile."
        ),
    ),
    "platform_trouble": (
        gettext_lazy("The platform's server is in trouble (%(code)s)."),
        gettext_lazy(
            "Nothing has to be changed here, and nothing is lost. Examine again in a few minutes; if it goes on for longer than half an hour, ask the platform's service and tell them the code."
        ),
    ),
    "platform_too_often": (
        gettext_lazy("The platform says that it was asked too often (%(code)s)."),
        gettext_lazy(
            "Nothing is lost; the portal asks more slowly by itself. Examine again in a few minutes. If it goes on: see whether another program uses the same merchant number, and let whoever runs the portal lower the calls a second for this platform (…_CALLS_PER_SECOND)."
        ),
    ),
    "simulator_off": (
        gettext_lazy("The simulator at %(url)s does not run."),
        gettext_lazy(
            "This is a trial installation: start script/server, then examine again. Nothing was found out about the account, and what was found before stays."
        ),
    ),
    "answer_untrusted": (
        gettext_lazy("The platform's answers cannot be trusted."),
        gettext_lazy(
            "%(signed)s No such answer has any effect. Do not change the keys: somebody may stand between the portal and %(host)s. Whoever runs the portal must look at the proxy, the DNS and the address that is set for the platform. See in the platform's console whether it has announced a new key or certificate: only then store that one. If it has not, ask the platform's service."
        ),
    ),
    "platform_garbled": (
        gettext_lazy("Something else answers in the platform's place."),
        gettext_lazy(
            "A proxy, a firewall or a log-in page of the network stands between the portal and %(host)s, or the platform's address is set wrong. Whoever runs the portal must let calls to %(host)s pass unchanged."
        ),
    ),
    "breaker_open": (
        gettext_lazy("The portal is not asking this platform for a while."),
        gettext_lazy(
            "Its last %(count)s calls brought no usable answer: %(reason)s The platform answers again now, and the portal goes on by itself at %(until)s. If this comes back, ask the platform's service."
        ),
    ),
    # The clock
    "clock_ok": (gettext_lazy("The clocks agree within %(seconds)s s."), ""),
    "clock_skew": (
        gettext_lazy("The clock of the portal's server is wrong by %(off)s."),
        gettext_lazy(
            "The platform refuses calls, and the portal notifications, when the clocks are more than 5 minutes apart. Whoever runs the portal must switch on time synchronisation (on Linux: timedatectl set-ntp true) and then examine again. Do not change any key."
        ),
    ),
    "clock_refused": (
        gettext_lazy("The platform says that the clock of the portal's server is wrong."),
        gettext_lazy(
            "Whoever runs the portal must switch on time synchronisation (on Linux: timedatectl set-ntp true) and then examine again. Do not change any key."
        ),
    ),
    "clock_drifts": (
        gettext_lazy("The clock of the portal's server is off by %(off)s."),
        gettext_lazy(
            "It still works, but beyond 5 minutes the platform refuses every call. Whoever runs the portal should switch on time synchronisation (on Linux: timedatectl set-ntp true)."
        ),
    ),
    "clock_unread": (
        gettext_lazy("The platform's time could not be read."),
        gettext_lazy("Examine again in a few minutes."),
    ),
    # Keys and numbers
    "credentials_ok": (gettext_lazy("The platform accepts the keys and numbers."), ""),
    "credential": (
        gettext_lazy("The platform does not accept this account's keys."),
        gettext_lazy(
            "%(reason)s Compare every entry with the platform's console; use “Change” at the account to enter what differs."
        ),
    ),
    "credential.*": (
        gettext_lazy("“%(label)s” is not right."),
        gettext_lazy("%(reason)s Enter it anew with “Change” at the account. %(help)s"),
    ),
    "credential.merchant_no": (
        gettext_lazy("“%(label)s” is not right."),
        gettext_lazy(
            "%(reason)s The merchant number of an account cannot be changed: connect a new account with the right number, then pause this one. %(help)s"
        ),
    ),
    "credential.app_id": (
        gettext_lazy("“%(label)s” is not right."),
        gettext_lazy(
            "%(reason)s The app ID of an account cannot be changed: connect a new account with the right one, then pause this one. %(help)s"
        ),
    ),
    "credential.api_v3_key": (
        gettext_lazy("“%(label)s” is not right."),
        gettext_lazy(
            "What WeChat Pay sends does not open with the key stored here, so its notifications have no effect; payments are found later, by asking. Set the key anew on the WeChat Pay merchant platform and enter the same 32 characters with “Change” at the account. Afterwards process the refused notifications again."
        ),
    ),
    "keys_lost": (
        gettext_lazy("The stored keys of this account cannot be opened."),
        gettext_lazy(
            "The key with which the portal encrypts them was changed or lost. Whoever runs the portal must put the old one back into ENCRYPTION_KEYS; if it is gone for good, enter all keys anew with “Change” at the account."
        ),
    ),
    # Certificates
    "certificates_ok": (gettext_lazy("All are valid; the first ends on %(until)s."), ""),
    "certificates_none": (gettext_lazy("This account uses no certificates that end."), ""),
    "certificate_expired": (
        gettext_lazy("“%(label)s” ended on %(until)s."),
        gettext_lazy(
            "Ask the platform for a new one and store it with “Change” at the account. Until then no payment can be taken. %(help)s"
        ),
    ),
    "certificate_expires": (
        gettext_lazy("“%(label)s” ends on %(until)s, in %(days)s days."),
        gettext_lazy(
            "Ask the platform for a new one now, since it takes some days, and store it with “Change” at the account before that day. %(help)s"
        ),
    ),
    "certificate_not_yet": (
        gettext_lazy("“%(label)s” is valid only from %(until)s."),
        gettext_lazy(
            "Store the one that is valid today as well, with “Change” at the account. %(help)s"
        ),
    ),
    # Terminals
    "terminals_ok": (gettext_lazy("All terminals have their key of today."), ""),
    "terminal_missing": (
        gettext_lazy("The portal has no terminal of its own at this account."),
        gettext_lazy(
            "Make an activation code in the platform's console at the store, under terminals, and enter it with “Change” at the account."
        ),
    ),
    "terminal_lost": (
        gettext_lazy("The key of the terminal %(which)s is lost."),
        gettext_lazy(
            "The platform accepts none of its keys any more. Make a new activation code in the platform's console at the store, under terminals, and enter it: for the portal's own terminal with “Change” at the account, for a shop's on the page of the terminal. Payments that wait are asked about again afterwards."
        ),
    ),
    "terminal_unchecked": (
        gettext_lazy("The terminal %(which)s was not checked in today."),
        gettext_lazy(
            "The portal checks it in again by itself. %(reason)s If this stands here for longer than an hour, see in the platform's console whether the terminal was switched off."
        ),
    ),
    # The notification address
    "address_ok": (gettext_lazy("It leads here and answers in %(seconds)s s."), ""),
    "address_http": (
        gettext_lazy("The portal's address begins with http."),
        gettext_lazy(
            "Platforms deliver notifications to https addresses only. Whoever runs the portal must give it a certificate and set PUBLIC_URL to the https address (now: %(url)s)."
        ),
    ),
    "address_unresolved": (
        gettext_lazy("Nobody knows the host name %(host)s."),
        gettext_lazy(
            "Whoever runs the portal must enter %(host)s in the DNS of its domain, or correct PUBLIC_URL."
        ),
    ),
    "address_private": (
        gettext_lazy("The portal's address leads into a private network."),
        gettext_lazy(
            "The platforms cannot reach %(host)s from the internet. Whoever runs the portal must set PUBLIC_URL to an address that everybody can open."
        ),
    ),
    "address_unreachable": (
        gettext_lazy("Nobody answers at the notification address."),
        gettext_lazy(
            "Whoever runs the portal must see that the web process and the proxy in front of it run, that the port is open, and that PUBLIC_URL names the right host and port: %(url)s"
        ),
    ),
    "address_silent": (
        gettext_lazy("The notification address is reached but does not answer in time."),
        gettext_lazy(
            "Platforms wait for 5 seconds. Whoever runs the portal must see whether the web process is overloaded or the database slow, and whether the proxy in front passes calls on: %(url)s"
        ),
    ),
    "address_tls": (
        gettext_lazy("The https certificate of %(host)s is not accepted."),
        gettext_lazy(
            "It has ended, is of another name, or its chain is incomplete; the platforms then deliver nothing. Whoever runs the portal must renew it and serve the whole chain."
        ),
    ),
    "address_redirects": (
        gettext_lazy("The notification address sends callers on to another one (%(status)s)."),
        gettext_lazy(
            "Platforms do not follow that. Whoever runs the portal must set PUBLIC_URL to the final address, or take the redirect from /notify/ out of the proxy."
        ),
    ),
    "address_trouble": (
        gettext_lazy("The notification address answers with an error (%(status)s)."),
        gettext_lazy(
            "The platform sends again later, and the portal asks by itself meanwhile. Whoever runs the portal must look into the log of the web process, and of the proxy in front of it."
        ),
    ),
    "address_stranger": (
        gettext_lazy(
            "Somebody else answers at the notification address, not this portal (%(status)s)."
        ),
        gettext_lazy(
            "Whoever runs the portal must see where %(url)s leads: to another server or installation, or to a firewall or proxy that keeps POST requests to /notify/ out. All installations behind this address need the same SECRET_KEY and database."
        ),
    ),
    "address_slow": (
        gettext_lazy("The notification address takes %(seconds)s s to answer."),
        gettext_lazy(
            "Platforms wait for 5 seconds. Whoever runs the portal should add web processes or look why the database is slow."
        ),
    ),
    # Notifications
    "notices_ok": (
        gettext_lazy(
            "They arrive: %(count)s of the last %(of)s payments were told in time or found sooner."
        ),
        "",
    ),
    "notices_none_due": (
        gettext_lazy("No payment lately, so none was to be expected."),
        "",
    ),
    "notices_lost": (
        gettext_lazy(
            "No notification arrives: %(count)s payments of the last days were found by asking only."
        ),
        gettext_lazy(
            "No money is lost, but customers wait longer for “paid”. Look at “Notification address” above. If it is in order, see in the platform's console whether notifications are switched off or blocked, and let whoever runs the portal see whether a firewall keeps the platform's servers out."
        ),
    ),
    "notices_missing": (
        gettext_lazy("Of the last %(of)s payments, %(count)s came without a notification."),
        gettext_lazy(
            "No money is lost; the portal found them by asking. If it goes on, let whoever runs the portal see whether the web process was down or overloaded at these times."
        ),
    ),
    "notices_forged": (
        gettext_lazy("%(count)s notifications with a wrong signature came within a day."),
        gettext_lazy(
            "They had no effect. Somebody tries to pass off payments that were not made: hand over goods only when the portal shows “paid”, never for a picture on the customer's phone. Look at them under Platforms, Notifications."
        ),
    ),
    "notices_replayed": (
        gettext_lazy("%(count)s notifications with an old time stamp came within a day."),
        gettext_lazy(
            "They had no effect. Somebody sends again what was recorded before, or the way to the portal holds notifications back for minutes; nobody passes off a payment by that. Look at them under Platforms, Notifications. If their payments are missing, let whoever runs the portal look at the proxy in front of it."
        ),
    ),
    # Bills
    "bills_ok": (gettext_lazy("They can be had, and none is late."), ""),
    "bills_none": (
        gettext_lazy(
            "This platform has no bills to download; each payment is asked about instead, and none is late."
        ),
        "",
    ),
    "bill_permission": (
        gettext_lazy("The contract does not let the portal download bills (%(code)s)."),
        gettext_lazy(
            "Switch bill downloads on in the platform's console, or ask its service to. Until then download each day's bill there and upload it with “Upload a bill”."
        ),
    ),
    "bill_refused": (
        gettext_lazy("The platform refuses to hand out bills."),
        gettext_lazy(
            "%(reason)s Until this is settled download each day's bill in the platform's console and upload it with “Upload a bill”."
        ),
    ),
    "bill_late": (
        gettext_lazy("The bill of %(day)s is late."),
        gettext_lazy(
            "The platform has not made it yet; the portal has asked %(attempts)s times and goes on for a week. You can also download it in the platform's console and upload it with “Upload a bill”."
        ),
    ),
    "bill_failed": (
        gettext_lazy("The bill of %(day)s could not be brought in."),
        gettext_lazy(
            "%(message)s The portal tries again by itself. You can also download it in the platform's console and upload it with “Upload a bill”."
        ),
    ),
    # Products
    "products_ok": (gettext_lazy("No payment was lately refused for want of a permission."), ""),
    "product_refused": (
        gettext_lazy("The platform refused “%(product)s” for want of a permission (%(code)s)."),
        gettext_lazy(
            "The contract does not cover this way of paying. Apply for it in the platform's console, under its products; or switch it off with “Change” at the account."
        ),
    ),
    # The portal
    "worker_ok": (gettext_lazy("Workers and the clockwork run; nothing waits too long."), ""),
    "worker_silent": (
        gettext_lazy("No worker does the background work."),
        gettext_lazy(
            "Payments are then found by notification only, refunds are not sent and bills not fetched. Whoever runs the portal must start “worker” and “beat” again; what waits is caught up with by itself."
        ),
    ),
    "work_late": (
        gettext_lazy("Background work is %(minutes)s minutes late."),
        gettext_lazy(
            "The workers are too few or busy with something that takes long. Whoever runs the portal should add a worker; what waits is seen under Background work."
        ),
    ),
    "database_ok": (gettext_lazy("It answers, and its tables fit this version."), ""),
    "database_down": (
        gettext_lazy("The database does not answer."),
        gettext_lazy(
            "Whoever runs the portal must start it again and look into its log; the disk may be full."
        ),
    ),
    "database_role": (
        gettext_lazy("The portal uses a database role that may pass the wall between merchants."),
        gettext_lazy(
            "Whoever runs the portal must make a role without SUPERUSER and BYPASSRLS, grant it its rights by manage.py grant_role, and use it in DATABASE_URL."
        ),
    ),
    "migrations_missing": (
        gettext_lazy("The database's tables are of an older version."),
        gettext_lazy("Whoever runs the portal must run manage.py migrate."),
    ),
    "database_clock": (
        gettext_lazy("The clocks of the portal and of its database are %(seconds)s s apart."),
        gettext_lazy(
            "Whoever runs the portal should switch on time synchronisation on both machines (on Linux: timedatectl set-ntp true)."
        ),
    ),
    "months_missing": (
        gettext_lazy("The database's tables for next month are not made yet."),
        gettext_lazy(
            "Background work makes them; its log says why it did not. Whoever runs the portal can run manage.py partitions make."
        ),
    ),
    "months_stray": (
        gettext_lazy("Rows of %(tables)s lie outside the tables of their months."),
        gettext_lazy(
            "Nothing is lost. Whoever runs the portal should run manage.py partitions rescue TABLE as the tables' owner, at a quiet hour."
        ),
    ),
    "disk_ok": (gettext_lazy("%(gigabytes)s GB are free."), ""),
    "disk_low": (
        gettext_lazy("Only %(gigabytes)s GB of the disk are free."),
        gettext_lazy(
            "Whoever runs the portal should make room soon: when it is full, no payment can be written down."
        ),
    ),
    "disk_full": (
        gettext_lazy("The disk is full: %(gigabytes)s GB are free."),
        gettext_lazy("Whoever runs the portal must make room at once, before the database stops."),
    ),
    "time_ok": (gettext_lazy("China time is %(at)s."), ""),
    "zone_wrong": (
        gettext_lazy("The portal's time zone is wrong, so days begin at the wrong hour."),
        gettext_lazy(
            "Whoever runs the portal must install the time zone data (package tzdata) and leave USE_TZ on."
        ),
    ),
    "addresses_ok": (gettext_lazy("All calls go to the platforms themselves, over https."), ""),
    "addresses_simulator": (
        gettext_lazy("This is a trial installation: the platforms are simulated."),
        "",
    ),
    "addresses_development": (gettext_lazy("This is a trial installation."), ""),
    "simulator_in_production": (
        gettext_lazy(
            "A simulator stands in the platforms' place: payments shown here are not real."
        ),
        gettext_lazy(
            "Hand over nothing for them. Whoever runs the portal must take SIMULATOR_URL out of its environment and start it again."
        ),
    ),
    "platform_address": (
        gettext_lazy("The address of a platform is not an https address of the internet."),
        gettext_lazy("Whoever runs the portal must correct: %(names)s."),
    ),
}
