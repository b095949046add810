"""Local jobs: programs that hold replicas without Kubernetes, from asking to the last process's end.

`ledger` says who holds what and who is next (pure), `members` whose a process is (pure), `keeper`
keeps both in step with what really runs, `server` lets people ask, `client` asks. A command becomes
the job itself (`rota run` calls execvp), so nothing stands between a person and a program: this room
watches from outside and never starts, wraps or waits for a job's program.
"""
