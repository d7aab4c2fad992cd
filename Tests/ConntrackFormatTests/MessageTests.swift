// The words around a listing, as conntrack 1.4.7 printed them in a network namespace.

import Conntrack
import ConntrackFormat
import Testing

@Suite struct MessageTests {
  @Test func closingCounts() {
    #expect(
      ConntrackMessage.shown(22)
        == "conntrack v1.4.7 (conntrack-tools): 22 flow entries have been shown.")
    #expect(
      ConntrackMessage.shown(1)
        == "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.")
    #expect(
      ConntrackMessage.deleted(0)
        == "conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.")
    #expect(
      ConntrackMessage.created(1)
        == "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been created.")
    #expect(
      ConntrackMessage.updated(1)
        == "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been updated.")
    #expect(
      ConntrackMessage.eventsShown(56)
        == "conntrack v1.4.7 (conntrack-tools): 56 flow events have been shown.")
    #expect(
      ConntrackMessage.expectationsShown(0)
        == "conntrack v1.4.7 (conntrack-tools): 0 expectations have been shown.")
    #expect(
      ConntrackMessage.emptied
        == "conntrack v1.4.7 (conntrack-tools): connection tracking table has been emptied.")
    #expect(
      ConntrackMessage.expectationsEmptied
        == "conntrack v1.4.7 (conntrack-tools): expectation table has been emptied.")
    #expect(ConntrackMessage.count(22) == "22")
  }

  @Test func failures() {
    #expect(
      ConntrackMessage.noSuchConnection
        == "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist")
    #expect(
      ConntrackMessage.connectionExists
        == "conntrack v1.4.7 (conntrack-tools): Operation failed: Such conntrack exists, "
        + "try -U to update")
  }

  @Test func statistics() {
    var statistics = ConntrackStatistics()
    statistics.insert = 18
    statistics.invalid = 1
    #expect(
      ConntrackMessage.statistics(statistics, cpu: 0)
        == "cpu=0   \tfound=0 invalid=1 insert=18 insert_failed=0 drop=0 early_drop=0 error=0 "
        + "search_restart=0 clash_resolve=0 chaintoolong=0 ")
    statistics = ConntrackStatistics()
    statistics.found = 1
    statistics.insertFailed = 2
    statistics.drop = 3
    statistics.earlyDrop = 4
    statistics.error = 5
    statistics.searchRestart = 6
    statistics.clashResolve = 7
    statistics.chainTooLong = 8
    #expect(
      ConntrackMessage.statistics(statistics, cpu: 12)
        == "cpu=12  \tfound=1 invalid=0 insert=0 insert_failed=2 drop=3 early_drop=4 error=5 "
        + "search_restart=6 clash_resolve=7 chaintoolong=8 ")
  }
}
