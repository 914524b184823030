"""The rows of the catalogue: every fault that the product answers for, and the outcome it owes.

The ids and the outcome words are those of the design's catalogue. `SAID` stands for what a row asks
for beside the words: a time, a classification, a refusal in the person's language.
"""

from dataclasses import dataclass

WORDS = {
    "ONE": "at most one attempt of an intent lives or fills; never more sold than wanted",
    "EQ": "position, reservation and orders equal the exchange's",
    "KEEP": "nothing accepted is lost; replayed, the journal gives the same state",
    "PROT": "every waiting tracker is judged on fresh prices, every fired one has an attempt",
    "TELL": "the person is told in time",
    "CRIT": "told until acknowledged (a blocked exit always is: tests of the chat's alerts)",
    "HALT": "entries are refused, exits go on",
    "STOP": "nothing is sent",
    "NOACT": "no change, no order, no answer that gives anything away",
    "SAID": "what the row says beside these words",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: what goes wrong, where it is best tested, and the outcome words that it owes."""

    fault_id: str
    text: str
    layer: str
    words: tuple[str, ...]


_TABLE = """
X01  | H2 | ONE EQ KEEP TELL SAID | the order is accepted, its answer is lost
X02  | H2 | ONE TELL SAID         | the request never left: no name, no connection
X03  | H2 | ONE EQ KEEP TELL SAID | 502, 503 or 504 as a page, the order is accepted
X03b | H2 | ONE SAID              | 5xx, the order is not accepted
X04  | H2 | ONE EQ KEEP SAID      | -1006: the exchange does not know
X05  | H1 | ONE SAID              | -1007, and the report arrives before any second step
X06  | H2 | ONE SAID              | -1000, -1001, -1008 on a new order
X07  | H1 | EQ SAID               | queries lag: not found for 15 s, then filled
X08  | H2 | ONE SAID              | the request arrives late, within its window
X08b | H2 | ONE SAID              | the request arrives after its window
X08c | H1 | CRIT SAID             | the engine takes it later than any documented bound
X09  | H2 | SAID                  | "Duplicate order sent."
X10  | H1 | ONE SAID              | an id is accepted again once its order has filled
X11  | H2 | HALT SAID             | -1021: the clock is off
X12  | H2 | TELL SAID             | 429 with Retry-After
X13  | H2 | CRIT SAID             | 418: banned for minutes or days
X14  | H2 | TELL SAID             | 403 as a page of the firewall
X15  | H2 | STOP CRIT SAID        | the key is revoked, or its address or right is gone
X16  | H1 | CRIT SAID             | an exit finds too few coins
X17  | H2 | TELL SAID             | the order rules change while running
X18  | H1 | CRIT SAID             | a price band refuses the exit
X19  | H1 | CRIT TELL SAID        | the market is closed, halted, or ends
X20  | H1 | ONE TELL SAID         | a market exit fills in part, the rest expires
X21  | H1 | TELL SAID             | self-trade prevention ends the exit
X22  | H1 | SAID                  | a cancel races a fill
X23  | unit | ONE CRIT SAID       | cancel-and-replace: each of its outcomes, and no answer
X24  | H2 | ONE SAID              | the answer to a cancel is lost
X25  | H2 | KEEP SAID             | malformed or truncated answers, wrong types, NaN
X26  | H2 | EQ SAID               | filled without executions, fees in any coin
X27  | H2 | SAID                  | scientific notation, 18 decimals
X28  | H2 | TELL SAID             | TLS fails, a wrong certificate, a captive portal
X29  | H2 | ONE EQ KEEP SAID      | a half-open line, one byte a second
X30  | H2 | NOACT SAID            | test net and live mixed up, the key of another account
X31  | H2 | HALT TELL SAID        | the account shows empty or old balances
X32  | H2 | ONE SAID              | lists of orders are cut, paged, or empty by error
X33  | H1 | CRIT KEEP SAID        | the exchange itself ends our order
X34  | H2 | TELL SAID             | -1015: too many orders
X35  | H2 | PROT SAID             | planned maintenance of two hours
X36  | H1 | SAID                  | one execution arrives several times
X37  | H1 | CRIT SAID             | ten times slower, rate limits and -30 % together
W01  | H2 | PROT SAID             | a stream is closed or reset
W02  | H2 | SAID                  | the server announces its end
W03  | H2 | TELL PROT SAID        | a silent stall: connected, no data
W04  | H2 | TELL PROT SAID        | a frozen feed: the event time stands still
W05  | H3 | PROT SAID             | the server's ping stays unanswered
W06  | H2 | TELL SAID             | the user stream dies alone
W07  | H2 | SAID                  | differences of the book with a gap
W08  | H1 | SAID                  | reports twice and out of order
W09  | H1 | SAID                  | a report before the answer
W10  | H1 | CRIT SAID             | a report of an unknown order with our prefix
W11  | H1 | TELL SAID             | a report of a foreign order
W12  | H2 | SAID                  | a storm of reconnects
W13  | H1 | SAID                  | a bad print: zero, negative, NaN, -99 %, a crossed book
W14  | H1 | SAID                  | a true crash that looks like a bad print
W15  | H2 | SAID                  | 10,000 messages a second
W16  | H2 | TELL SAID             | subscribed, and no data
W17  | H2 | TELL SAID             | stream and REST disagree for long
W18  | H2 | PROT SAID             | both streams flap for ten minutes
T01  | H2 | TELL CRIT SAID        | the chat service is down for a minute, an hour, a day
T02  | H2 | SAID                  | 429 of the chat with retry_after
T03  | H2 | CRIT SAID             | 409: somebody else reads this bot
T04  | H2 | SAID                  | 401: the bot's token is revoked
T05  | H2 | CRIT SAID             | somebody set a webhook
T06  | H2 | SAID                  | one update is delivered twice
T07  | H3 | SAID                  | killed between fetching and handling
T08  | H2 | SAID                  | update ids jump or go down
T09  | H2 | SAID                  | a hundred old commands after an outage
T10  | H2 | NOACT SAID            | an edited command
T11  | H2 | NOACT SAID            | every other kind of update and sender
T12  | H2 | NOACT SAID            | somebody who is not known
T13  | H2 | SAID                  | a known person in a group
T14  | H2 | NOACT                 | a command forwarded, quoted or in a caption
T15  | H2 | ONE SAID              | a button forged, replayed, old, or tapped twice
T16  | H2 | TELL SAID             | a group moves, a strange group, a person who blocked the bot
T17  | H2 | SAID                  | a message too long, bad markup, nothing to edit
T18  | H2 | SAID                  | a message timed out but arrived
T19  | H2 | SAID                  | a flood of commands and taps
T20  | H2 | TELL SAID             | an update that breaks its handler
T21  | H2 | NOACT SAID            | a webhook without its secret, or too large
T22  | H2 | SAID                  | forged data of a mini app
T23  | H3 | SAID                  | a restart between question and tap
T24  | H2 | SAID                  | the chat takes 20 s for each call
S01  | H3 | CRIT SAID             | the disk is full before an order is sent
S02  | H3 | KEEP ONE SAID         | the disk is full after an order was sent
S03  | H3 | ONE CRIT SAID         | the disk is full while a stop fires
S04  | H3 | CRIT SAID             | another process locks the database
S05  | unit | SAID                | a read that becomes a write
S06  | H3 | SAID                  | reading or syncing the disk fails
S07  | H3 | CRIT SAID             | a sync takes 5 s
S08  | H3 | SAID                  | the database is read-only, deleted or replaced
S09  | H3 | SAID                  | the database is damaged
S10  | H3 | HALT SAID             | an older copy of the database is restored
S11  | H2 | ONE SAID              | PostgreSQL: a connection lost in COMMIT, failover, idle
S12  | H3 | SAID                  | an upgrade killed half-way, an older program
S13  | H3 | SAID                  | growth without bound
S14  | H3 | ONE SAID              | two agents on one database or account
S15  | H3 | KEEP SAID             | the last record is torn
P01  | H3 | ONE EQ KEEP PROT SAID | killed at every boundary of the journal
P02  | H3 | TELL SAID             | asked to end with an order in flight
P03  | H3 | CRIT SAID             | one task dies
P04  | H3 | SAID                  | the loop is blocked for 30 s
P05  | H3 | SAID                  | out of memory, a leak
P06  | H1 | SAID                  | cancelled at each await of an order's way
P07  | H3 | ONE SAID              | started twice
P08  | H3 | CRIT SAID             | a crash loop
P09  | H3 | PROT SAID             | stopped for ten minutes, then continued
P10  | H3 | TELL SAID             | no descriptors, no names, no network
P11  | H3 | SAID                  | two builds, another configuration
P12  | unit | SAID                | a dependency changes what errors mean
P13  | H3 | SAID                  | a queue is full
P14  | H3 | CRIT HALT SAID        | a loop of ours sends orders without end
P15  | H3 | TELL SAID             | the watchdog dies
C01  | unit | TELL SAID           | the clock steps by an hour
C02  | unit | SAID                | the clock drifts
C03  | unit | SAID                | the clock steps back with an order open
C04  | unit | SAID                | summer time, leap day, year's end, 2038
C05  | H2 | SAID                  | the exchange's clock is wrong, or far away
C06  | H3 | SAID                  | time stood still over a suspend
I01  | unit | SAID                | numbers of every writing
I02  | unit | SAID                | symbols that look alike
I03  | unit | SAID                | fat fingers
I04  | unit | SAID                | markup, SQL and line breaks in text
I05  | H1 | KEEP SAID             | two people change one tracker at once
I06  | unit | SAID                | a setting missing, wrong or unknown
I07  | H1 | SAID                  | commands on what is not there, and again
I08  | H2 | NOACT SAID            | forged signals of a webhook
I09  | H2 | SAID                  | hostile text to a language model
M01  | H1 | CRIT SAID             | -50 % in a second, no bids
M02  | H3 | TELL SAID             | a gap through the stop while down
M03  | H1 | TELL SAID             | a wick of -90 % and back
M04  | H1 | HALT CRIT SAID        | an empty or one-sided book
M05  | H1 | TELL SAID             | dust is left
M06  | H1 | SAID                  | extreme steps, prices and amounts
M07  | H1 | TELL SAID             | the quote currency loses its peg
M08  | H1 | CRIT SAID             | a symbol is renamed or ends
M09  | H1 | TELL SAID             | coins come and go outside
M10  | H1 | TELL SAID             | 200 stops in one second
M11  | H1 | EQ SAID               | the fee's coin runs out in an exit
M12  | H1 | SAID                  | a trailing stop under jitter for a day
M13  | H1 | TELL SAID             | a trigger and a cancel at once
M14  | H1 | SAID                  | half sold, and the price recovers
M15  | H1 | EQ SAID               | a stop fires while its entry is still open
"""


def _fault(line: str) -> Fault:
    fault_id, layer, words, text = (part.strip() for part in line.split("|"))
    return Fault(fault_id, text, layer, tuple(words.split()))


FAULTS = {row.fault_id: row for row in map(_fault, _TABLE.strip().splitlines())}
