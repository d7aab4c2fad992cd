// Asking a worker from a thread that may wait: the control socket's, one for each client.

#if os(Linux)
  import Firewall
  import Synchronization
  import TableControl

  import class Dispatch.DispatchSemaphore

  extension Worker {
    /// Runs `body` on the worker's thread between two bursts and waits for what it returns.
    /// - Throws: a `TableError` once the worker has ended.
    func ask<Answer: Sendable>(
      _ body: @escaping @Sendable (inout Firewall) -> Answer
    ) throws -> Answer {
      try askLoop { loop in body(&loop.firewall) }
    }

    /// Listens to events from now on.
    /// - Throws: as `ask`.
    func listen() throws -> EventSubscription {
      let subscription = EventSubscription(capacity: 65_536)
      try askLoop { loop in loop.subscribe(subscription) }
      return subscription
    }

    /// The same with all that the thread has.
    func askLoop<Answer: Sendable>(
      _ body: @escaping @Sendable (inout WorkerLoop) -> Answer
    ) throws -> Answer {
      let reply = Reply<Answer>()
      mailbox.post(
        Mailbox.Letter(
          run: { loop in reply.set(body(&loop)) }, refuse: { reply.set(nil) }))
      guard let answer = reply.wait() else {
        throw TableError(number: 104, explanation: "the gateway has stopped")
      }
      return answer
    }
  }

  /// An answer that one thread waits for.
  final class Reply<Answer: Sendable>: Sendable {
    private let answer = Mutex<Answer?>(nil)
    private let arrived = DispatchSemaphore(value: 0)

    func set(_ value: Answer?) {
      answer.withLock { $0 = value }
      arrived.signal()
    }

    func wait() -> Answer? {
      arrived.wait()
      return answer.withLock { $0 }
    }
  }
#endif
