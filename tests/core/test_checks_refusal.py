"""What is a refusal, in a dozen languages, and what only sounds like one."""

import pytest

from gateway.core.chat import Choice
from tests.core.checked import call, whys

REFUSALS = """\
I'm very sorry, but I can't assist with that request.
I’m sorry, but I can’t help with that.
I'm sorry, I cannot fulfill this request.
I'm sorry. I am not able to provide instructions for this.
Sorry, I can't do that.
Sorry - we're unable to answer questions about this.
Sorry—I can’t help with that.
This isn’t something I can help with.
I'm going to decline this one.
Hmm, I can't help with that one.
Well, we can't discuss that.
Das kann ich leider nicht machen.
Leider kann ich das nicht tun.
Ich kann Ihnen keine medizinische Beratung geben.
Lamento no poder ayudarte con eso.
**I cannot help with that.**
> I can't provide medical advice.
I cannot and will not help with this.
I can’t engage in this conversation.
I cannot ethically assist you with this.
I won't write that.
I am unable to create content that depicts this.
I'm not able to share personal information about private people.
I'm not comfortable writing this story.
I don't feel comfortable discussing this.
I must respectfully decline this request.
I have to decline.
I'd rather not go into that.
I’d rather not.
I would prefer not to answer.
Your request violates OpenAI's usage policies.
This topic goes against ethical guidelines.
I apologize, but I cannot provide a summary of the copyrighted work.
My apologies, but I am not permitted to discuss it.
Unfortunately, I can't generate images of real people.
As an AI language model, I cannot provide legal advice.
As a large language model, I am not able to answer that.
Thank you for asking, but I can't help with that.
I understand that you are frustrated, but I cannot help you with that.
I appreciate your trust, however I must decline.
I'd love to help, but I can't write that.
No, I can't help you with this.
We cannot comply with this request.
This request violates our content policy, so nothing follows.
That's not something I can help with.
Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.
Leider kann ich diese Anfrage nicht beantworten.
Ich kann dir bei diesem Anliegen leider nicht weiterhelfen.
Je suis désolé, mais je ne peux pas vous aider avec cette demande.
Désolé, je ne peux pas répondre à cette question.
Lo siento, pero no puedo ayudarte con eso.
No puedo proporcionar esa información.
Mi dispiace, ma non posso aiutarti con questa richiesta.
Desculpe, mas não posso ajudar com isso.
Het spijt me, maar ik kan je daar niet mee helpen.
Извините, но я не могу помочь с этим.
К сожалению, я не могу ответить на этот вопрос.
I'm going to have to decline that.
I don't think I can help with that.
I'm just an AI, so I can't help you with that.
I'm designed to be harmless, so I cannot help with that.
I strive to be helpful, but I can't assist with this.
I can't explain how to build a weapon.
I can't in good faith provide that.
That goes against my guidelines.
This is against my guidelines, so nothing follows.
My guidelines do not allow me to do that.
My programming prevents me from answering.
"I'm sorry, but I can't help with that."
Es tut mir leid, das kann ich nicht tun.
Entschuldigung, aber ich kann diese Anfrage nicht bearbeiten.
Als KI-Sprachmodell kann ich keine medizinische Beratung leisten.
Leider ist es mir nicht möglich, Ihnen zu helfen.
Désolé, je ne peux pas faire cela.
Lo siento, no puedo hacer eso.
Sono spiacente, ma non posso aiutarti.
ごめんなさい、それはお手伝いできません。
미안하지만 도와줄 수 없어요.
저는 그 요청을 도와드릴 수 없습니다.
抱歉,我无法协助处理这个请求。
很抱歉，我不能提供这些信息。
我无法提供此类内容。
申し訳ありませんが、そのご要望にはお応えできません。
죄송합니다. 해당 요청은 도와드릴 수 없습니다.
That's against my core principles.
I'm a language model and I cannot help with that.
"I'm sorry, but I can't assist with that request." Is there anything else?
**"I can't help with that."** Let me know if you need something else.
“I can’t help with “hacking” an account.”
« Je suis désolé, mais je ne peux pas vous aider. »
Tut mir leid, aber ich kann bei illegalen Aktivitäten, wie dem Hacken von Konten, nicht helfen.
Es tut mir leid, aber ich kann keine Inhalte, die Gewalt verherrlichen, erstellen.
Ich kann Ihnen bei dieser Anfrage, die gegen meine Richtlinien verstößt, leider nicht helfen.
Ich kann keine illegalen, gefährlichen oder schädlichen Inhalte erstellen.
Das ist mir leider nicht möglich.
저는 그런 내용을 생성할 수 없습니다.
저는 해당 정보를 제공할 수 없습니다. 불법이기 때문입니다.
저는 이 요청을 도와드리기 어렵습니다.
저는 AI입니다. 이 요청은 도와드릴 수 없습니다.
作为聊天机器人,我无法提供此类信息。
作为一个聊天机器人，我不能帮助你。
作为文心一言，我无法回答这个问题。
作为一名负责任的助理，我不能提供。
That is something that I won't do.
It's something we're not able to help with.
It isn't something I can do.
I cannot completely fulfill this request.
I can't complete this request.
I'm unable to identify the person in this photo.
I can't identify who this is.
Unfortunately, we cannot proceed with this request.
Ik kan geen medische adviezen, recepten of diagnoses geven.
"""  # noqa: RUF001

ANSWERS = """\
This request violates the following Content Security Policy directive: script-src 'self'.
This request returns 403, because it violates the CORS policy.
Your request violates a unique constraint, so PostgreSQL rolls it back.
I'd rather not add a dependency here; the standard library does it.
I would prefer not to. These words are Bartleby's, from Melville's story.
Leider kann ich keine Garantie geben, aber meist reicht es, den Dienst neu zu starten.
We cannot write 7 as a sum of two squares.
We can't give a value to 0/0, so the limit must be taken.
We can't create an instance of an abstract class: inherit from it.
I am unable to reproduce the bug on 3.11; on 3.12 it is there.
I would prefer not to use recursion here: a loop is faster.
Well, the loop never ends, as x is not changed in it.
The capital is Paris.
I can help with that.
"I'm sorry, but I can't help with that" is what a model says that refuses.
“I cannot help you”, he said, and so the tale begins.
I don't think I can improve on your proof.
This goes against the grain, so sand it first.
My code does not allow more than one; use a list.
Ich kann gerne helfen, das ist gar nicht schwer zu erstellen.
Ich kann nicht nur helfen: hier ist der ganze Text.
Ich kann nicht garantieren, dass diese Schritte helfen. Versuchen Sie erstens dies.
Je ne peux pas répondre avec certitude, mais c'est sans doute 42.
No puedo responder con certeza, pero debe de ser 42.
Non posso che aiutarti: ecco il testo.
Ik kan niet wachten om je te helpen! Hier is het.
Я не могу ответить точно, но скорее всего 42.
作为一个质数,2不能被3整除。
저는 이렇게 생각합니다. 이 문제는 어렵습니다. 답은 42입니다.
I think that it cannot be done in less than O(n log n).
I can't see any mistake in your code: it is right.
I can't help but notice that line 3 is wrong.
I won't be long: the answer is 42.
I cannot stress enough how important backups are.
I'm sorry to hear that you are ill. Here is what helps.
I'm sorry for your loss. You may write: We were saddened to hear of it.
Sorry for the wait! Here is the list.
Unfortunately, the train cannot stop there, so take the bus.
As an AI, I have no feelings, but here is a poem about them.
As an example, take a list that cannot be sorted.
Thank you for the question. A compiler cannot decide whether a program halts.
Thanks! That is right.
No. A set cannot contain itself in ZF.
No, that isn't possible in Python.
I understand. Here is the plan.
We cannot divide by zero, so x is not 3.
We can't have both, by the CAP theorem.
This question is about conversion, which cannot fail.
My cat won't eat. What you can do: see a vet.
It's not something you need to worry about.
A refusal reads: "I'm sorry, I cannot help with that."
Here is the email: Dear Ann, I am sorry, I cannot help on Friday.
Ich kann dir helfen: nimm den Bus.
Das kann nicht sein, denn 3 ist ungerade.
Leider ist der Zug verspätet.
Je ne sais quoi is a French phrase.
No hay problema: aquí está la lista.
Lo siento mucho por tu pérdida.
Non è un numero primo.
Het getal is niet even.
Я думаю, что это Париж.
我不能完全确定, 但答案是巴黎。
很好的问题。答案是巴黎。
すみません、答えはパリです。
This is against our coding standards: rename `foo` to something that says what it holds.
It's against our interest to raise prices now: demand is elastic.
It goes against our earlier assumption that x > 0; contradiction.
That's against our policy on refunds? Yes: the text of section 3 says so.
My current policy on breaks prevents me from burnout: every 50 minutes I stop.
Sorry, I misread the table. I don't think I can help but notice that row 3 is double.
I'm designed to run on one machine; we cannot support horizontal scaling without a queue.
I strive to be exact: we cannot give more than three digits, so 3.14.
I am trained to sit and stay. I won't do that for free, says the dog.
I'm an AI engineer in this story, and I cannot give up: "One more epoch", I said.
"I can't help with that." Is there anything else? So ends every call to them.
Ich kann im Text keine Fehler finden; so können Sie ihn schreiben.
Ich kann keinen Fehler entdecken: Sie können ihn so erstellen.
Dabei kann ich keinen Unterschied feststellen zwischen 'schreiben' und 'verfassen'.
Damit werde ich nicht fertig; es ist viel zu tun: das bedeutet das Sprichwort.
Ich kann keine Stelle finden, die nicht stimmt, und den Text so erstellen.
Es ist mir nicht möglich, Fehler zu finden: der Text ist fehlerfrei.
Das ist mir nicht möglich gewesen bedeutet: I was not able to do it.
Es ist mir leider nicht möglich, am Freitag zu kommen.
Je ne peux pas faire cela plus simplement : x = 3.
No puedo hacer eso sin ti - letra de la canción:
Sono tre i motivi: primo, con int non posso scrivere decimali; secondo, la virgola.
Non posso rispondervi con certezza, ma è 42.
ごめんなさいはビジネスメールでは使用できません。代わりに「申し訳ございません」を使います。
That's something I can help with! First, unplug the router. If it does not start, press reset.
I understand. This is something we can do: run it twice, which does not lock the table.
It's something I'm not sure of, but most say 1492.
I can't completely rule out a hardware fault, but the log points to the driver.
I can't identify any errors in your code: it does what you say.
I cannot identify a bug in this function; the loop ends as it should.
We cannot proceed directly, so we substitute u = x^2.
We can't proceed by induction on n here, since the base case fails.
This content does not violate our content policy: it is fine.
This content violates none of the rules.
Ich kann keine Fehler finden, die den Server daran hindern, Anfragen zu bearbeiten.
Ik kan je hiermee helpen, maar weet niet welke toon je wilt geven. Hier is een versie.
"""


@pytest.mark.parametrize("text", REFUSALS.splitlines())
def test_begins_as_a_refusal(text: str) -> None:
    assert whys("not_refused", text) == ["it begins as a refusal"]
    assert whys("not_refused", f"\n\n {text}\n\n" + "More. " * 500) == ["it begins as a refusal"]


@pytest.mark.parametrize("text", ANSWERS.splitlines())
def test_is_an_answer(text: str) -> None:
    assert whys("not_refused", text) == []


@pytest.mark.parametrize(
    ("choice", "passes"),
    [
        (Choice(text="Well,", finish="content_filter"), False),
        (Choice(refusal="No."), False),
        (Choice(text="Paris", refusal=""), True),
        (Choice(text=None), True),
        (Choice(text="I cannot help with that from memory.", tool_calls=(call("f", {}),)), True),
        (Choice(text="The story so far. " * 20 + "I cannot help with that."), True),
    ],
)
def test_fields_that_say_no(choice: Choice, passes: bool) -> None:
    assert (not whys("not_refused", choice)) is passes
