# oslo.policy, the reference's engine, behind a pipe: each line is a JSON list of rules and of questions to them, each answer a line with
# one word for each question: "yes", "no", or "error" where the engine itself breaks off.
import json
import logging
import sys

from oslo_config import cfg
from oslo_policy import policy

logging.disable(logging.CRITICAL)
# Rules that lead back to themselves end in a RecursionError; none of the others is so deep.
sys.setrecursionlimit(300)
conf = cfg.ConfigOpts()
conf([])


def judge(enforcer, rule, target, creds):
    try:
        return "yes" if enforcer.enforce(rule, dict(target), dict(creds)) else "no"
    except Exception:
        return "error"


for line in sys.stdin:
    asked = json.loads(line)
    enforcer = policy.Enforcer(conf, use_conf=False)
    enforcer.set_rules(policy.Rules.from_dict(asked["rules"], "default"), overwrite=True, use_conf=False)
    answers = [judge(enforcer, one["rule"], one["target"], one["creds"]) for one in asked["questions"]]
    print(json.dumps(answers), flush=True)
